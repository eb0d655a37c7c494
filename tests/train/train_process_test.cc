// The binary itself, stopped from outside: kill -9 at random moments, Ctrl-C, bad input. A run that goes on
// is the run that was never stopped.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "engine/base/file.h"
#include "train/checkpoint/checkpoint_dir.h"
#include "training_support.h"

using namespace train;
using Catch::Matchers::Contains;

namespace {

// normlab with these arguments, its stderr in `log`.
pid_t start(const std::vector<std::string>& arguments, const std::string& log) {
  std::vector<std::string> words = {BINARY_DIR "/normlab"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  const int fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  ::dup2(fd, 1), ::dup2(fd, 2);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

// The exit code, or -signal.
int wait_for(pid_t pid) {
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

size_t lines(const std::string& run) {
  const std::string path = run + "/metrics.jsonl";
  return engine::file_exists(path) ? read_metrics(path).size() : 0;
}

struct Process {
  explicit Process(Job& job) : job(job) { engine::write_file(config, job.config.dump()); }
  int train(const std::string& name, std::vector<std::string> more = {}) {
    return wait_for(begin(name, more));
  }
  pid_t begin(const std::string& name, std::vector<std::string> more = {}) {
    std::vector<std::string> words = {"train", "--config", config, "--out", job.run(name)};
    words.insert(words.end(), more.begin(), more.end());
    return start(words, log);
  }
  std::string output() const { return engine::read_file(log); }

  Job& job;
  std::string config = job.folder / "config.json", log = job.folder / "log";
};

}  // namespace

TEST_CASE("kill -9 at random moments changes no loss", "[medium]") {
  Job job;
  job.set("budget.steps", 400)
      .set("schedule.steps", 400)
      .set("eval.every", 50)
      .set("checkpoint.every", 20)
      .set("dropout.residual", 0.1);
  Process process(job);
  REQUIRE(process.train("whole") == 0);
  engine::Rng rng{2026, 0};
  int killed = 0;
  for (int attempt = 0; attempt < 60; ++attempt) {
    const size_t before = lines(job.run("cut"));
    const pid_t pid = process.begin("cut", {"--resume"});
    // Not before it has got further, so that the test ends; then after a random wait.
    for (int i = 0;
         i < 400 && lines(job.run("cut")) <= before + 40 && ::waitpid(pid, nullptr, WNOHANG | WNOWAIT) == 0;
         ++i)
      ::usleep(5000);
    ::usleep(useconds_t(rng.below(40000)));
    ::kill(pid, SIGKILL);
    const int end = wait_for(pid);
    if (end == 0) break;
    REQUIRE(end == -SIGKILL);
    ++killed;
  }
  CHECK(killed >= 3);
  REQUIRE(process.train("cut", {"--resume"}) == 0);
  for (const char* key : {"loss", "grad_norm", "valid_loss"}) {
    INFO(key);
    CHECK(series(job.run("whole"), key) == series(job.run("cut"), key));
  }
  CHECK(series(job.run("cut"), "loss").size() == 400);
  for (const auto& entry : std::filesystem::directory_iterator(job.run("cut") + "/checkpoints"))
    CHECK(entry.path().filename().string().starts_with("step-"));
}

TEST_CASE("a run that goes on with other kernels says so in one line") {
  if (std::string(kernels_in_use()).starts_with("base")) return;  // there is no other level
  Job job;
  job.set("budget.steps", 4).set("eval.every", 0);
  Process process(job);
  REQUIRE(process.train("run") == 0);
  CHECK(read_metrics(job.run("run") + "/metrics.jsonl")[0]["kernels"] == kernels_in_use());
  REQUIRE(process.train("run", {"--resume", "--set", "budget.steps=6"}) == 0);
  CHECK_THAT(process.output(), !Contains("kernels"));
  ::setenv("NORMLAB_ISA", "base", 1);
  const int code = process.train("run", {"--resume", "--set", "budget.steps=8"});
  ::unsetenv("NORMLAB_ISA");
  REQUIRE(code == 0);
  CHECK_THAT(process.output(),
             Contains("warning: the run goes on with kernels for base") && Contains(kernels_in_use()));
}

TEST_CASE("Ctrl-C leaves a checkpoint and 130") {
  Job job;
  job.set("budget.steps", 1000000).set("checkpoint.every", 0).set("eval.every", 0);
  Process process(job);
  const int signal = GENERATE(SIGINT, SIGTERM, SIGHUP);
  const pid_t pid = process.begin("run");
  for (int i = 0; i < 2000 && lines(job.run("run")) < 5; ++i) ::usleep(5000);
  ::kill(pid, signal);
  CHECK(wait_for(pid) == 130);
  const auto checkpoints = list_checkpoints(job.run("run"));
  REQUIRE(checkpoints.size() == 1);
  CHECK_NOTHROW(verify_checkpoint(checkpoints[0].folder));
  const int64_t step = checkpoints[0].step;
  CHECK(step == read_metrics(job.run("run") + "/metrics.jsonl").back()["step"]);
  CHECK(process.train("run", {"--resume", "--set", "budget.steps=" + std::to_string(step + 3)}) == 0);
  CHECK(series(job.run("run"), "loss").size() == size_t(step) + 3);
}

TEST_CASE("data that changes under a run ends it with one line and a checkpoint of all that was learned") {
  Job job;
  job.set("budget.steps", 1000000).set("checkpoint.every", 0).set("eval.every", 0);
  Process process(job);
  const pid_t pid = process.begin("run");
  for (int i = 0; i < 2000 && lines(job.run("run")) < 5; ++i) ::usleep(5000);
  std::filesystem::last_write_time(job.folder / "train.bin", std::filesystem::file_time_type{});
  CHECK(wait_for(pid) == 2);
  CHECK_THAT(process.output(), Contains("train.bin: changed while it was read"));
  const auto checkpoints = list_checkpoints(job.run("run"));
  REQUIRE(checkpoints.size() == 1);
  CHECK_NOTHROW(verify_checkpoint(checkpoints[0].folder));
  CHECK(checkpoints[0].step == read_metrics(job.run("run") + "/metrics.jsonl").back()["step"]);
  const int64_t step = checkpoints[0].step;
  CHECK(process.train("run", {"--resume", "--set", "budget.steps=" + std::to_string(step + 3)}) == 0);
}

TEST_CASE("Ctrl-C in a validation ends it at once, the run that goes on makes up for it", "[medium]") {
  Job job;
  write_shard(job.folder / "long.bin", learnable_tokens(1'000'000, 16, 3), 16);
  job.set("eval.every", 12).set("data.valid", job.folder / "long.bin").set("checkpoint.every", 0);
  Process process(job);
  REQUIRE(process.train("whole") == 0);
  const pid_t pid = process.begin("cut");
  for (int i = 0; i < 20000 && lines(job.run("cut")) < 12; ++i) ::usleep(1000);
  ::kill(pid, SIGINT);
  CHECK(wait_for(pid) == 130);
  REQUIRE(list_checkpoints(job.run("cut")).size() == 1);
  CHECK(list_checkpoints(job.run("cut"))[0].step == 12);
  CHECK(series(job.run("cut"), "valid_loss").empty());
  REQUIRE(process.train("cut", {"--resume"}) == 0);
  for (const char* key : {"loss", "valid_loss"})
    CHECK(series(job.run("cut"), key) == series(job.run("whole"), key));
}

TEST_CASE("bad input to normlab train: one line and 2") {
  Job job;
  Process process(job);
  const auto refused = [&](std::vector<std::string> more, const std::string& line) {
    INFO(line);
    CHECK(process.train("run", more) == 2);
    const std::string said = process.output();
    CHECK_THAT(said, Contains(line));
    CHECK(std::count(said.begin(), said.end(), '\n') == 1);
  };
  refused({"--set", "optim.rl=1"}, "optim.lr");
  refused({"--set", "data.train=/nowhere"}, "/nowhere");
  refused({"--set", "model.heads=3"}, "heads");
  refused({"--set", "data.context=17"}, "data.context: 17 is more than the model's 16 learned positions");
  for (const char* more : {"--json", "--dry-run"})
    refused(
        {"--set", "model.longest_row=16", "--set", "model.positions=rope", "--set", "data.context=17", more},
        "data.context: 17 is more than the model's longest_row of 16");
  refused(
      {"--set", "init=admin", "--dry-run"},
      "init: admin sets the residual scales of every sublayer, and layer 0 has none in attn{} (res=vector)");
  refused({"--set", "budget.steps=0"}, "budget: set one of");
  refused({"--set", "model.vocab_size=15"}, "is smaller than the data's vocabulary of 16");
  refused({"--set", "data=3"}, "\"data\" is a section");
  refused({"--set", "init=gtp2"}, "nearest: \"gpt2\"");
  refused({"--set", "data.valid=/x\xff"}, "config: a text in it is not UTF-8");
}

TEST_CASE("what a run that goes on cannot change is one line and 2, in a dry run too") {
  Job job;
  job.set("budget.steps", 2);
  Process process(job);
  REQUIRE(process.train("run", {"--quiet"}) == 0);
  write_shard(job.folder / "other.bin", learnable_tokens(6000, 16, 9), 16);
  const auto refused = [&](const std::string& change, const std::string& line) {
    for (const char* how : {"--dry-run", "--json"}) {
      INFO(change << " " << how);
      CHECK(process.train("run", {"--resume", "--quiet", "--set", "budget.steps=3", "--set", change, how}) ==
            2);
      const std::string said = process.output();
      CHECK_THAT(said, Contains(line));
      CHECK(std::count(said.begin(), said.end(), '\n') == 1);
    }
  };
  refused("model.activation=relu", "model.activation is \"relu\", the checkpoint's \"gelu\"");
  refused("optim.name=sgd", "second_moment is there: written by an optimizer that keeps other moments");
  const std::string others = "; other rows are another run: normlab train --from " + job.run("run");
  for (const std::string& change :
       {std::string("seed=2"), std::string("data.order=file"), std::string("data.context=8"),
        "data.train=" + (job.folder / "other.bin")})
    refused(change, others);
  CHECK(process.train("run", {"--resume", "--quiet", "--set", "data.batch=2", "--dry-run"}) == 0);
}

TEST_CASE("a run whose numbers are beyond repair ends with one readable line and 1") {
  Job job;
  Process process(job);
  CHECK(process.train("run", {"--set", "optim.lr=1e14", "--set", "optim.clip=0"}) == 1);
  const std::string said = process.output();
  CHECK_THAT(said, Contains("\nnormlab train: step ") && Contains("op ") && !Contains("internal error"));
  // The report shows why; a run that goes on has another ending.
  CHECK_THAT(engine::read_file(job.run("run") + "/failure.txt"), Contains("step ") && Contains("op "));
  CHECK(process.train("run", {"--resume", "--set", "optim.lr=1e-3", "--set", "budget.steps=3"}) == 0);
  CHECK_FALSE(engine::file_exists(job.run("run") + "/failure.txt"));
}

TEST_CASE("an f16 run that ends with weights that give no number is no finished run") {
  Job job;
  job.set("precision", "f16").set("checkpoint.every", 2).set("checkpoint.keep", 100).set("budget.steps", 20);
  job.set("optim.clip", 0).set("schedule.steps", 0);
  Process process(job);
  // The scaler bears an overflow of the forward pass 20 times; the budget ends before.
  CHECK(process.train("run", {"--set", "optim.lr=1e5"}) == 1);
  CHECK_THAT(process.output(), Contains("is not a number at the run's end") && !Contains("-nan"));
  CHECK_THAT(engine::read_file(job.run("run") + "/failure.txt"),
             Contains("step 20: the loss on validation data"));
  const std::vector<CheckpointInfo> kept = list_checkpoints(job.run("run"));
  CHECK((kept.empty() || kept.back().step < 10));  // none since the loss was none
}

TEST_CASE("a run keeps the config with everything that was resolved") {
  Job job;
  job.config["model"].erase("vocab_size");
  job.config["model"].erase("objective");
  job.config["model"]["norms"] = "hybridnorm";
  job.set("model.vocab_size", 16).set("budget.steps", 2);
  Process process(job);
  REQUIRE(process.train("run") == 0);
  const Json kept = engine::read_json(job.run("run") + "/config.json");
  CHECK(kept["model"]["objective"] == "clm");
  CHECK_THAT(kept["model"]["norms"].get<std::string>(), Contains("attn{") && !Contains("hybridnorm"));
  CHECK(kept["init"] == "megatron");
  CHECK(kept["data"]["context"] == 16);
  CHECK(config_json(parse_config(kept, "kept")) == kept);
  // inspect takes a run, its config, and the config that it came from.
  for (const std::string& what : {job.run("run"), job.run("run") + "/config.json", process.config}) {
    INFO(what);
    CHECK(wait_for(start({"inspect", what}, process.log)) == 0);
    CHECK_THAT(process.output(), Contains("parameters "));
  }
}
