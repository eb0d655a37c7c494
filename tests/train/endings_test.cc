// How a run ends, or does not: signals, readers of its messages that go away, closed descriptors, disks that
// are full for a while. What was learned is in a checkpoint each time.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "engine/base/append_file.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "engine/core/allocator.h"
#include "run_program.h"
#include "small_disk.h"
#include "train/checkpoint/checkpoint_dir.h"
#include "training_support.h"

using namespace train;
using Catch::Matchers::Contains;

namespace {

struct ShellJob {
  ShellJob() { job.set("eval.every", 0); }
  /// "train ..." for run_normlab.
  std::string command(const std::string& name, const std::string& more = "") {
    engine::write_file(config, engine::json_text(job.config));
    return "train --config " + config + " --out " + job.run(name) + " " + more;
  }
  std::vector<int64_t> steps(const std::string& name) const {
    std::vector<int64_t> out;
    for (const CheckpointInfo& c : list_checkpoints(job.run(name)))
      out.push_back(verify_checkpoint(c.folder).step);
    return out;
  }

  Job job;
  std::string config = job.folder / "config.json";
};

/// A checkpoint of one file.
std::string save(const std::string& run, int64_t step, const std::string& text) {
  CheckpointWriter writer(run, step);
  engine::write_file(writer.folder() + "/model.safetensors", text);
  return writer.commit({});
}

Snapshot little_snapshot(const std::string& run, int64_t step) {
  Snapshot snapshot;
  snapshot.run = run, snapshot.step = step, snapshot.training_json = "{}";
  return snapshot;
}

/// While it lives, the disk is slow: every fsync of this program takes so many microseconds more.
std::atomic<useconds_t> sync_delay{0};
struct SlowDisk {
  explicit SlowDisk(useconds_t delay) { sync_delay = delay; }
  ~SlowDisk() { sync_delay = 0; }
};

/// While it lives, a flush of a log fails, as on a network's disk that is full.
std::atomic<bool> log_flush_fails{false};
struct FailingFlush {
  FailingFlush() { log_flush_fails = true; }
  ~FailingFlush() { log_flush_fails = false; }
};

/// From here on this process has no renameat2 that exchanges, as on file systems without it.
bool forbid_exchange() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat2, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{4, program};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

}  // namespace

/// In the place of the C library's: these two.
extern "C" int fsync(int file) {
  if (sync_delay > 0) ::usleep(sync_delay);
  return int(::syscall(SYS_fsync, file));
}

extern "C" int fdatasync(int file) {
  if (!log_flush_fails) return int(::syscall(SYS_fdatasync, file));
  errno = ENOSPC;
  return -1;
}

TEST_CASE("metrics that cannot be flushed cost neither the run nor its checkpoints") {
  Job job;
  job.set("eval.every", 0);
  const FailingFlush failing;
  CHECK(job.train("run") == RunEnd::finished);
  CHECK(series(job.run("run"), "loss").size() == 24);
  CHECK(list_checkpoints(job.run("run")).back().step == 24);
}

TEST_CASE("a slow disk does not make a run hold two snapshots", "[medium]") {
  Job job;
  job.set("model.width", 128).set("model.ffn_width", 512).set("eval.every", 0).set("budget.steps", 4);
  const auto peak = [&](const std::string& name, int every) {
    job.set("checkpoint.every", every);
    const int64_t before = engine::memory_statistics(engine::Device::cpu).in_use;
    engine::reset_peak_memory(engine::Device::cpu);
    job.train(name);
    return engine::memory_statistics(engine::Device::cpu).peak - before;
  };
  const int64_t one = peak("one", 0);
  const SlowDisk slow(60000);
  const int64_t four = peak("four", 1);
  int64_t snapshot = 0;
  for (const std::string file : {"model", "optimizer"})
    snapshot +=
        int64_t(engine::file_size(job.run("one") + "/checkpoints/step-00000004/" + file + ".safetensors"));
  CHECK(four < one + snapshot / 2);
}

TEST_CASE("started with 0, 1 and 2 closed, no message lands in a file of the run") {
  ShellJob shell;
  REQUIRE(run_normlab(shell.command("open")).code == 0);
  REQUIRE(run_normlab(shell.command("closed", "<&- >&- 2>&-")).code == 0);
  CHECK(series(shell.job.run("open"), "loss") == series(shell.job.run("closed"), "loss"));
  CHECK(shell.steps("closed") == shell.steps("open"));
  for (const CheckpointInfo& c : list_checkpoints(shell.job.run("closed")))
    for (const std::string& file : engine::list_folder(c.folder))
      CHECK_THAT(engine::read_file(c.folder + "/" + file), !Contains("tok/s"));
}

TEST_CASE("a run outlives the reader of its messages") {
  ShellJob shell;
  shell.job.set("checkpoint.every", 0);
  const std::string piped = BINARY_DIR "/normlab " + shell.command("run") + " 2>&1 | head -n 1";
  REQUIRE(std::system(("{ " + piped + "; } >/dev/null").c_str()) == 0);
  CHECK(shell.steps("run") == std::vector<int64_t>{24});
}

TEST_CASE("a signal that the parent ignores stays ignored") {
  ShellJob shell;
  shell.job.set("budget.steps", 400).set("schedule.steps", 400).set("checkpoint.every", 0);
  const std::string signal = GENERATE("INT", "HUP", "TERM");
  const std::string run = shell.job.run("run"), log = shell.job.folder / "log";
  const std::string script = "trap '' " + signal + "; " BINARY_DIR "/normlab " + shell.command("run") +
                             " 2>" + log + " & p=$!; while ! grep -q '\"step\":5,' " + run +
                             "/metrics.jsonl 2>/dev/null && kill -0 $p; do :; done; kill -" + signal +
                             " $p; wait $p";
  engine::write_file(shell.job.folder / "script", script);
  CHECK(std::system(("sh " + shell.job.folder / "script").c_str()) == 0);
  CHECK(shell.steps("run") == std::vector<int64_t>{400});
}

TEST_CASE("a failed checkpoint is said, and the next one is written") {
  const TemporaryFolder run;
  engine::write_file(run / "checkpoints", "a file where the folder should be");
  CheckpointQueue queue;
  queue.write(little_snapshot(run.path, 1), 3, 0);
  queue.wait();
  CHECK_THAT(queue.take_error(), Contains("checkpoints"));
  CHECK(queue.take_error() == "");
  engine::remove_file(run / "checkpoints");
  queue.write(little_snapshot(run.path, 2), 3, 0);
  queue.wait();
  CHECK(queue.take_error() == "");
  CHECK(list_checkpoints(run.path).size() == 1);
}

TEST_CASE("what a full disk did not take is written once there is room") {
  const TemporaryFolder folder;
  const std::string path = folder / "log";
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto previous = std::signal(SIGXFSZ, SIG_IGN);
  const auto limit = [&](rlim_t bytes) {
    const rlimit now{bytes, before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &now) == 0);
  };
  engine::AppendFile file(path, 0);
  file.write("first line\n");
  limit(16);
  file.write("second line\n");
  file.write("third line\n");
  const std::string trouble = file.trouble();
  std::string at_the_end;
  try {
    file.finish();
  } catch (const engine::Error& e) {
    at_the_end = e.what();
  }
  limit(before.rlim_cur);
  std::signal(SIGXFSZ, previous);
  CHECK_THAT(trouble, Contains("log: cannot write (File too large)"));
  CHECK(at_the_end == trouble);
  CHECK(engine::read_file(path) == "first line\nsecon");
  file.write("fourth line\n");
  CHECK(file.trouble() == "");
  CHECK(engine::read_file(path) == "first line\nsecond line\nthird line\nfourth line\n");
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK_THROWS_AS(engine::AppendFile(folder / "pipe", 0), engine::Error);
  CHECK_THROWS_WITH(engine::AppendFile(folder.path, 0), Contains("cannot open"));
}

TEST_CASE("a full disk under the metrics alone leaves a checkpoint") {
  ShellJob shell;
  shell.job.set("budget.steps", 300).set("schedule.steps", 300).set("checkpoint.every", 0);
  const std::string run = shell.job.run("run"), elsewhere = shell.job.folder / "elsewhere";
  engine::make_directories(run), engine::make_directories(elsewhere);
  const SmallDisk disk(run, "64k");
  if (!disk.usable()) return;
  REQUIRE(::symlink(elsewhere.c_str(), (run + "/checkpoints").c_str()) == 0);
  const ProgramEnd end = run_normlab(shell.command("run"));
  INFO(end.output);
  CHECK(end.code == 2);
  CHECK_THAT(end.last_line(), Contains("metrics.jsonl: cannot write (No space left on device)"));
  CHECK(shell.steps("run") == std::vector<int64_t>{300});
}

TEST_CASE("damaged lines of metrics are left out with the file kept, the others stay") {
  const TemporaryFolder folder;
  const std::string path = folder / "metrics.jsonl", zeros(20, '\0');
  const std::string text =
      "{\"step\":1}\n{\"step" + zeros + ":3}\n\n{\"step\":4}\n[]\n{\"step\":5}\n{\"step\":6}\n";
  engine::write_file(path, text);
  { const MetricsLog log(path, 5); }
  CHECK(engine::read_file(path) == "{\"step\":1}\n{\"step\":4}\n{\"step\":5}\n");
  CHECK(engine::read_file(path + ".damaged") == text);
  { const MetricsLog log(path, 4); }
  CHECK(engine::read_file(path) == "{\"step\":1}\n{\"step\":4}\n");
}

TEST_CASE("checkpoints: a manifest must name every file that is there") {
  const TemporaryFolder run;
  const std::string folder = save(run.path, 4, "weights"), manifest = folder + "/checkpoint.json";
  const std::string good = engine::read_file(manifest);
  Json json = engine::read_json(manifest);
  json["files"] = Json::object();
  engine::write_file(manifest, engine::json_text(json));
  CHECK_THROWS_WITH(verify_checkpoint(folder), Contains("model.safetensors: is not in checkpoint.json"));
  engine::remove_file(folder + "/model.safetensors");
  CHECK_THROWS_WITH(verify_checkpoint(folder), Contains("checkpoint.json: lists no files"));
  engine::write_file(manifest, good);
  engine::write_file(folder + "/model.safetensors", "weights");
  engine::write_file(folder + "/.note", "a hidden file is nobody's business");
  CHECK_NOTHROW(verify_checkpoint(folder));
  engine::write_file(folder + "/training.json", "{}");
  CHECK_THROWS_WITH(verify_checkpoint(folder), Contains("training.json: is not in checkpoint.json"));
}

TEST_CASE("checkpoints: a folder under another step's name is damaged, a loop of links is none") {
  const TemporaryFolder run;
  engine::move_path(save(run.path, 4, "x"), run / "checkpoints/step-00000009");
  CHECK_THROWS_WITH(verify_checkpoint(run / "checkpoints/step-00000009"),
                    Contains("holds the checkpoint of step 4"));
  save(run.path, 4, "x");
  const std::string loop = run / "checkpoints/step-00000010";
  REQUIRE(::symlink("step-00000010", loop.c_str()) == 0);
  CHECK(checkpoint_to_resume(run.path)->step == 4);
  save(run.path, 10, "takes the link's place");
  CHECK(checkpoint_to_resume(run.path)->step == 10);
}

TEST_CASE("checkpoints: a step is replaced where two names cannot be exchanged") {
  const TemporaryFolder run;
  save(run.path, 3, "old");
  const pid_t child = ::fork();
  if (child == 0) {
    if (!forbid_exchange()) ::_exit(77);
    try {
      save(run.path, 3, "new");
    } catch (const engine::Error&) {
      ::_exit(1);
    }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WEXITSTATUS(status) == 77) {
    WARN("no seccomp here: not tested");
    return;
  }
  CHECK(status == 0);
  CHECK(engine::list_folder(run / "checkpoints") == std::vector<std::string>{"step-00000003"});
  CHECK(engine::read_file(run / "checkpoints/step-00000003/model.safetensors") == "new");
  CHECK_NOTHROW(verify_checkpoint(run / "checkpoints/step-00000003"));
}

TEST_CASE("checkpoints: one that was moved aside when the program ended comes back") {
  const TemporaryFolder run;
  engine::move_path(save(run.path, 3, "old"), run / "checkpoints/.tmp-step-00000003-replaced");
  engine::make_directories(run / "checkpoints/.tmp-step-00000003");
  clean_checkpoints(run.path);
  CHECK(checkpoint_to_resume(run.path)->step == 3);
  CHECK(engine::list_folder(run / "checkpoints") == std::vector<std::string>{"step-00000003"});
}
