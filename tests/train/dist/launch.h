// The binary under mpirun, with a limit on its time, and jobs for it.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "../training_support.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "engine/base/sha256.h"
#include "train/checkpoint/checkpoint_dir.h"

namespace train {

constexpr int kLimit = 30;  // seconds that a launch may take

inline bool have_mpi() {
  const bool there = engine::file_exists(BINARY_DIR "/libnormlab_mpi.so") && engine::file_exists("/usr/bin/mpirun");
  if (!there) WARN("skipped: no mpirun, or no MPI plug-in in this build");
  return there;
}

/// A program that was started, and how it ends.
class Started {
 public:
  Started(const std::string& command, const std::string& log) : log_(log) {
    pid_ = ::fork();
    if (pid_ != 0) return;
    const int fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ::dup2(fd, 1), ::dup2(fd, 2);
    ::execl("/bin/sh", "sh", "-c", ("exec " + command).c_str(), static_cast<char*>(nullptr));
    ::_exit(127);
  }
  ~Started() {
    if (!ended_) ::kill(pid_, SIGKILL), wait();
  }
  pid_t pid() const { return pid_; }
  bool running() {
    int status = 0;
    if (!ended_ && ::waitpid(pid_, &status, WNOHANG) == pid_) keep(status);
    return !ended_;
  }
  /// The exit code, or 128 + signal.
  int wait() {
    int status = 0;
    if (!ended_ && ::waitpid(pid_, &status, 0) == pid_) keep(status);
    return code_;
  }
  std::string output() const { return engine::file_exists(log_) ? engine::read_file(log_, size_t(1) << 24) : ""; }

 private:
  void keep(int status) {
    ended_ = true;
    code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  std::string log_;
  pid_t pid_ = -1;
  bool ended_ = false;
  int code_ = -1;
};

/// `mpirun` with what makes it work as root, on few cores and in containers. It ends by itself after kLimit.
inline std::string launcher(const std::string& before = "") {
  return "env OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "
         "OMPI_MCA_btl_vader_single_copy_mechanism=none OMPI_MCA_rmaps_base_oversubscribe=1 NORMLAB_THREADS=1 " +
         before + " mpirun --timeout " + std::to_string(kLimit) + " --bind-to none ";
}

/// What stands before a rank's command for it to be meddled with (meddle.cc).
inline std::string meddled(const std::string& how) { return "env LD_PRELOAD=" MEDDLE " " + how + " "; }

struct DistJob : Job {
  DistJob() {
    set("parallel.sum", "tree").set("parallel.check", true).set("parallel.timeout", 20);
    set("model.width", 64).set("model.ffn_width", 128).set("data.batch", 1);
    set("budget.steps", 6).set("schedule.steps", 6).set("eval.every", 4).set("checkpoint.every", 3);
    set("parallel.bucket_mib", 0.1).set("optim.clip", 0.05).set("dropout.residual", 0.1);
  }
  /// The command line of one rank: this job with its micro-batches dealt to `ranks`.
  std::string command(int ranks, const std::string& name, const std::string& more = "") const {
    const std::string path = folder / ("config" + std::to_string(ranks) + ".json");
    Json mine = config;
    mine["data"]["accumulate"] = config.value(Json::json_pointer("/data/accumulate"), int64_t(4)) / ranks;
    engine::write_file(path, mine.dump());
    return std::string(BINARY_DIR "/normlab train --config ") + path + " --out " + run(name) + " " + more;
  }
  std::string log() const { return folder / "log"; }
  int train_on(int ranks, const std::string& name, const std::string& more = "") {
    Started program(launcher() + "-np " + std::to_string(ranks) + " " + command(ranks, name, more), log());
    const int code = program.wait();
    output = program.output();
    return code;
  }
  std::string files(const std::string& name) const {
    std::string all;
    for (const CheckpointInfo& checkpoint : list_checkpoints(run(name)))
      for (const char* file : {"/model.safetensors", "/optimizer.safetensors"})
        all += checkpoint_name(checkpoint.step) + file + " " + engine::sha256_file(checkpoint.folder + file) + "\n";
    return all;
  }
  void check_equal(const std::string& a, const std::string& b) const {
    INFO(a << " and " << b);
    for (const char* key : {"loss", "grad_norm", "valid_loss"}) CHECK(series(run(a), key) == series(run(b), key));
    CHECK(files(a) == files(b));
    CHECK(!files(a).empty());
  }
  std::string output;
};

/// Lines of normlab's in what mpirun printed (it adds words of its own when a rank fails).
inline std::vector<std::string> lines_with(const std::string& text, const std::string& word) {
  std::vector<std::string> found;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    if (line.find(word) != std::string::npos) found.push_back(line);
    at = end + 1;
  }
  return found;
}

/// Processes of this binary whose command line has `word`.
inline std::vector<pid_t> processes_with(const std::string& word) {
  std::vector<pid_t> found;
  const std::string list = "for p in /proc/[0-9]*; do tr '\\0' ' ' 2>/dev/null < $p/cmdline | grep -q '^" BINARY_DIR
                           "/normlab.*" + word + "' && echo ${p#/proc/}; done";
  FILE* pipe = ::popen(list.c_str(), "r");
  for (int pid; pipe && std::fscanf(pipe, "%d", &pid) == 1;) found.push_back(pid);
  if (pipe) ::pclose(pipe);
  return found;
}

/// How many lines the run has logged by now.
inline size_t lines_so_far(const std::string& run) {
  const std::string path = run + "/metrics.jsonl";
  return engine::file_exists(path) ? read_metrics(path).size() : 0;
}

/// Waits until the run has logged `lines` lines, or its program has ended.
inline void wait_for_lines(Started& program, const std::string& run, size_t lines) {
  while (program.running() && lines_so_far(run) < lines) ::usleep(2000);
}

/// Waits until the run is writing a checkpoint, or its program has ended.
inline bool wait_for_writer(Started& program, const std::string& run) {
  while (program.running()) {
    if (engine::is_directory(run + "/checkpoints"))
      for (const std::string& name : engine::list_folder(run + "/checkpoints"))
        if (name.starts_with(".tmp-")) return true;
    ::usleep(2000);
  }
  return false;
}

}  // namespace train
