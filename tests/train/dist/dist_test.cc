// `normlab train` under mpirun: bits, errors, signals, deaths, hangs. What other systems got wrong here stands
// in each case's name. Threads as ranks (../ranks) have the cases that need a hand inside the program.
#include <catch2/catch.hpp>

#include <sys/stat.h>

#include "engine/base/folder.h"
#include "launch.h"

using namespace train;
using Catch::Matchers::Contains;

namespace {

void damage_one_byte(const std::string& path) {
  std::string bytes = engine::read_file(path, size_t(1) << 30);
  bytes[bytes.size() / 2] = char(bytes[bytes.size() / 2] ^ 1);
  engine::write_file(path, bytes);
}

/// Waits until the run has logged `lines` lines, or its program has ended.
void wait_for_lines(Started& program, const std::string& run, size_t lines) {
  const std::string path = run + "/metrics.jsonl";
  while (program.running() && (!engine::file_exists(path) || read_metrics(path).size() < lines)) ::usleep(20000);
}

}  // namespace

TEST_CASE("mpirun: 1, 2, 3 and 4 ranks: the bytes of one process", "[dist]") {
  if (!have_mpi()) return;
  DistJob job;
  job.set("precision", "bf16");
  job.set("data.accumulate", 4);
  Started alone("env NORMLAB_THREADS=1 " + job.command(1, "alone"), job.log());
  REQUIRE(alone.wait() == 0);
  for (int ranks : {1, 2, 4}) {
    const std::string name = std::to_string(ranks);
    const int code = job.train_on(ranks, name, ranks == 4 ? "--set parallel.zero=1" : "");
    INFO(job.output);
    REQUIRE(code == 0);
    CHECK(lines_with(job.output, "finished at step 6").size() == 1);
    job.check_equal("alone", name);
  }
  // 3 ranks have sums of their own, and a checkpoint that any number goes on from.
  job.set("data.accumulate", 3);
  const int code = job.train_on(3, "3", "--set parallel.zero=1");
  INFO(job.output);
  REQUIRE(code == 0);
  job.set("data.accumulate", 4);
  for (int ranks : {2, 1}) {
    const int resumed = job.train_on(ranks, "3", "--resume --set budget.steps=" + std::to_string(9 - ranks));
    INFO(job.output);
    CHECK(resumed == 0);
  }
  CHECK(series(job.run("3"), "loss").size() == 8);
}

TEST_CASE("mpirun: an error is said once, with exit code 2, and no rank is left", "[dist]") {
  if (!have_mpi()) return;
  DistJob job;
  SECTION("of all ranks") {
    CHECK(job.train_on(3, "run", "--set optim.lrr=1") == 2);
    REQUIRE(lines_with(job.output, "normlab train: ").size() == 1);
    CHECK_THAT(job.output, Contains("normlab train: ") && Contains("lrr"));
  }
  SECTION("ranks with different configs") {
    const std::string other = job.command(2, "run", "--set optim.lr=0.5"), one = job.command(2, "run");
    Started program(launcher() + "-np 1 " + one + " : -np 1 " + other, job.log());
    CHECK(program.wait() == 2);
    const auto lines = lines_with(program.output(), "normlab train: ");
    REQUIRE(lines.size() == 1);
    CHECK_THAT(lines[0], Contains("normlab train: rank 1 (") &&
                             Contains("has another config than rank 0: /optim/lr is 0.5, not 0.01"));
  }
  SECTION("ranks with different data") {
    write_shard(job.folder / "other.bin", learnable_tokens(6000, 16, 9), 16);
    engine::make_directories(job.folder / "a");
    engine::make_directories(job.folder / "b");
    const std::string place = job.folder / "data.bin";
    job.set("data.train", "data.bin").set("data.valid", job.folder / "valid.bin");
    engine::write_file(job.folder / "a/data.bin", engine::read_file(job.folder / "train.bin"));
    engine::write_file(job.folder / "b/data.bin", engine::read_file(job.folder / "other.bin"));
    const std::string one = job.command(2, "run");
    Started program(launcher() + "-np 1 --wdir " + (job.folder / "a") + " " + one + " : -np 1 --wdir " +
                        (job.folder / "b") + " " + one,
                    job.log());
    CHECK(program.wait() == 2);
    const auto lines = lines_with(program.output(), "normlab train: ");
    REQUIRE(lines.size() == 1);
    CHECK_THAT(lines[0], Contains("rank 1 (") && Contains("has another training data than rank 0"));
  }
  SECTION("ranks of different builds") {
    const std::string copy = job.folder / "normlab";
    engine::write_file(copy, engine::read_file(BINARY_DIR "/normlab", size_t(1) << 30) + "x");
    REQUIRE(::chmod(copy.c_str(), 0755) == 0);
    const std::string one = job.command(2, "run");
    Started program(launcher("NORMLAB_PLUGINS=" BINARY_DIR) + "-np 1 " + one + " : -np 1 " + copy +
                        one.substr(one.find(" train")),
                    job.log());
    CHECK(program.wait() == 2);
    const auto lines = lines_with(program.output(), "normlab");
    CHECK_THAT(program.output(), Contains("has another build of normlab than rank 0"));
    CHECK(lines_with(program.output(), "another build").size() == 1);
  }
  SECTION("a damaged checkpoint of another model") {
    REQUIRE(job.train_on(1, "run") == 0);
    CHECK(job.train_on(2, "run", "--resume --set model.width=32") == 2);
    CHECK(lines_with(job.output, "normlab train: ").size() == 1);
  }
  SECTION("a folder that holds a run already") {
    REQUIRE(job.train_on(1, "run") == 0);
    CHECK(job.train_on(2, "run") == 2);
    const auto lines = lines_with(job.output, "normlab train: ");
    REQUIRE(lines.size() == 1);
    CHECK_THAT(lines[0], Contains("already holds a run"));
  }
  SECTION("a command of one process") {
    Started program(launcher() + "-np 2 " BINARY_DIR "/normlab eval ppl --model x --data y", job.log());
    CHECK(program.wait() == 2);
    const auto lines = lines_with(program.output(), "runs on one process");
    CHECK(lines.size() == 1);
  }
  SECTION("a launcher without the plug-in") {
    Started program(launcher("NORMLAB_PLUGINS=/nonexistent") + "-np 2 " + job.command(2, "run"), job.log());
    CHECK(program.wait() == 2);
    CHECK(lines_with(program.output(), "/nonexistent/libnormlab_mpi.so").size() == 1);
  }
  SECTION("several tasks of SLURM that know nothing of each other") {
    Started program("env SLURM_STEP_NUM_TASKS=4 " + job.command(1, "run"), job.log());
    CHECK(program.wait() == 2);
    CHECK(lines_with(program.output(), "srun --mpi=pmix").size() == 1);
  }
  CHECK(processes_with(job.run("run")).empty());
}

TEST_CASE("mpirun: only rank 0 sees the run folder: it trains and resumes", "[dist]") {
  if (!have_mpi()) return;
  DistJob job;
  const std::string mine = job.command(2, "run", "--resume"), other = job.command(2, "run/.lock/nothing", "--resume");
  for (int steps : {6, 9}) {
    const std::string more = " --set budget.steps=" + std::to_string(steps);
    Started program(launcher() + "-np 1 " + mine + more + " : -np 1 " + other + more, job.log());
    const int code = program.wait();
    INFO(program.output());
    REQUIRE(code == 0);
    CHECK(series(job.run("run"), "loss").size() == size_t(steps));
  }
}

TEST_CASE("mpirun: a rank that dies, or hangs, ends all within 5 seconds", "[dist]") {
  if (!have_mpi()) return;
  DistJob job;
  job.set("budget.steps", 100000).set("schedule.steps", 100000).set("eval.every", 0).set("checkpoint.every", 0);
  const int how = GENERATE(SIGKILL, SIGSTOP);
  job.set("parallel.timeout", how == SIGSTOP ? 2 : 20).set("parallel.check", false);
  Started program(launcher() + "-np 3 " + job.command(3, "run"), job.log());
  wait_for_lines(program, job.run("run"), 3);
  const std::vector<pid_t> ranks = processes_with(job.run("run"));
  INFO(program.output());
  REQUIRE(ranks.size() == 3);
  ::kill(ranks.back(), how);
  const double start = seconds_now();
  const int code = program.wait();
  CHECK(seconds_now() - start < (how == SIGSTOP ? 10 : 5) + 3);  // mpirun's own end counts in, on a busy machine
  CHECK(code == (how == SIGSTOP ? 1 : 137));
  CHECK(processes_with(job.run("run")).empty());
  if (how == SIGSTOP) {
    const auto words = lines_with(program.output(), "did not come to");
    REQUIRE(!words.empty());
    CHECK_THAT(words[0], Contains("rank ") && Contains(", update ") && Contains("collective "));
    CHECK(words.size() <= 3);  // mpirun wakes the stopped rank up before it kills it
  }
}

TEST_CASE("mpirun: a signal to one rank or to mpirun stops all at one update, with a checkpoint and 130", "[dist]") {
  if (!have_mpi()) return;
  DistJob job;
  job.set("budget.steps", 100000).set("schedule.steps", 100000).set("eval.every", 10).set("checkpoint.every", 0);
  const bool to_mpirun = GENERATE(true, false);
  Started program(launcher() + "-np 2 " + job.command(2, "run"), job.log());
  wait_for_lines(program, job.run("run"), 15);
  const std::vector<pid_t> ranks = processes_with(job.run("run"));
  REQUIRE(ranks.size() == 2);
  ::kill(to_mpirun ? program.pid() : ranks.back(), to_mpirun ? SIGUSR1 : SIGTERM);
  const int code = program.wait();
  INFO(program.output());
  CHECK(code == 130);
  CHECK(lines_with(program.output(), "stopped at step ").size() == 1);
  const auto checkpoints = list_checkpoints(job.run("run"));
  REQUIRE(!checkpoints.empty());
  CHECK(verify_checkpoint(checkpoints.back().folder).step == int64_t(series(job.run("run"), "loss").size()));
}

TEST_CASE("mpirun: a checkpoint that was damaged on the disk is passed over by all ranks", "[dist]") {
  if (!have_mpi()) return;
  DistJob job;
  job.set("checkpoint.keep", 10);
  REQUIRE(job.train_on(1, "run") == 0);
  damage_one_byte(list_checkpoints(job.run("run")).back().folder + "/optimizer.safetensors");
  const int code = job.train_on(2, "run", "--resume");
  INFO(job.output);
  CHECK(code == 0);
  CHECK(lines_with(job.output, "resuming at step ").size() == 1);
  CHECK_THAT(lines_with(job.output, "resuming at step ")[0], !Contains("resuming at step 6"));
}

namespace {

/// 4 ranks, killed at random moments and gone on from by 1, 2, 3 and 4 ranks in turn. 3 ranks see other rows
/// an update, so they stop before their first one and only show that they can begin.
void kill_and_resume(int kills, uint64_t seed) {
  DistJob job;
  job.set("budget.steps", 60 + 10 * kills).set("schedule.steps", 60 + 10 * kills).set("eval.every", 20);
  job.set("checkpoint.every", 5).set("precision", "bf16").set("parallel.check", false);
  const std::string last = std::to_string(60 + 10 * kills);
  {
    Started alone("env NORMLAB_THREADS=1 " + job.command(1, "whole"), job.log());
    REQUIRE(alone.wait() == 0);
  }
  engine::Rng rng{seed, 0};
  const int numbers[] = {4, 2, 4, 1};
  for (int kill = 0; kill < kills; ++kill) {
    const int ranks = numbers[kill % 4];
    const std::string zero = " --set parallel.zero=" + std::to_string(kill % 2);
    const size_t before = engine::file_exists(job.run("cut") + "/metrics.jsonl")
                              ? read_metrics(job.run("cut") + "/metrics.jsonl").size()
                              : 0;
    Started program(launcher() + "-np " + std::to_string(ranks) + " " + job.command(ranks, "cut", "--resume" + zero),
                    job.log());
    // Not before it has got further, so that the test ends; then after a random wait, also in the start.
    if (kill % 3 != 2) wait_for_lines(program, job.run("cut"), before + 7);
    ::usleep(useconds_t(rng.below(kill % 3 == 2 ? 1500000 : 60000)));
    const std::vector<pid_t> running = processes_with(job.run("cut"));
    if (!running.empty()) ::kill(running[size_t(rng.below(running.size()))], SIGKILL);
    program.wait();
    CHECK(processes_with(job.run("cut")).empty());
  }
  // Three ranks can begin with it, and leave it as it is when there is nothing left to do.
  const int code = job.train_on(4, "cut", "--resume --set parallel.zero=1");
  INFO(job.output);
  REQUIRE(code == 0);
  REQUIRE(job.train_on(3, "cut", "--resume") == 0);
  job.check_equal("whole", "cut");
  CHECK(series(job.run("cut"), "loss").size() == size_t(60 + 10 * kills));
}

}  // namespace

TEST_CASE("mpirun: ranks killed at random moments end with the bytes of the run that was never touched", "[dist]") {
  if (have_mpi()) kill_and_resume(3, 2026);
}

TEST_CASE("mpirun: the same, killed 50 times", "[slow]") {
  if (have_mpi()) kill_and_resume(50, 7);
}

TEST_CASE("mpirun: two machines, as two network namespaces", "[dist]") {
  if (!have_mpi()) return;
  DistJob job;
  const std::string script = job.folder / "machines.sh", agent = job.folder / "agent.sh";
  const std::string id = std::to_string(::getpid() % 10000), a = "nla" + id, b = "nlb" + id;
  engine::write_file(agent, "#!/bin/sh\n# mpirun's remote shell: the host's name is a namespace\n"
                            "host=$1; shift\nexec ip netns exec \"$host\" sh -c \"$*\"\n");
  REQUIRE(::chmod(agent.c_str(), 0755) == 0);
  const auto shell = [](const std::string& command) { return std::system((command + " >/dev/null 2>&1").c_str()); };
  const std::string in_a = "ip netns exec " + a + " ", in_b = "ip netns exec " + b + " ";
  const bool made = shell("ip netns add " + a) == 0 && shell("ip netns add " + b) == 0 &&
                    shell("ip link add v" + a + " netns " + a + " type veth peer name v" + b + " netns " + b) == 0 &&
                    shell(in_a + "ip addr add 10.213.7.1/24 dev v" + a) == 0 &&
                    shell(in_b + "ip addr add 10.213.7.2/24 dev v" + b) == 0 &&
                    shell(in_a + "ip link set v" + a + " up") == 0 && shell(in_b + "ip link set v" + b + " up") == 0 &&
                    shell(in_a + "ip link set lo up") == 0 && shell(in_b + "ip link set lo up") == 0;
  if (made) {
    Started alone("env NORMLAB_THREADS=1 " + job.command(1, "alone"), job.log());
    CHECK(alone.wait() == 0);
    // Each namespace has a name of its own for hostname(), so that mpirun sees two machines.
    engine::write_file(agent, "#!/bin/sh\n# mpirun's remote shell: the host's name is a namespace\n"
                              "while [ $# -gt 1 ] && [ \"${1#-}\" != \"$1\" ]; do shift; done\n"
                              "shift\nexec ip netns exec " + b + " unshare --uts sh -c \"hostname " + b + "; $*\"\n");
    Started program("ip netns exec " + a + " unshare --uts sh -c 'hostname " + a + "; " +
                        launcher("OMPI_MCA_btl=tcp,self OMPI_MCA_btl_tcp_if_include=10.213.7.0/24 "
                                 "OMPI_MCA_oob_tcp_if_include=10.213.7.0/24 OMPI_MCA_plm_rsh_no_tree_spawn=1 "
                                 "OMPI_MCA_plm_rsh_agent=" + agent) +
                        "-np 2 --host " + a + ":1,10.213.7.2:1 " + job.command(2, "two") + "'",
                    job.log());
    const int code = program.wait();
    INFO(program.output());
    CHECK(code == 0);
    if (code == 0) job.check_equal("alone", "two");
  } else {
    WARN("skipped: network namespaces cannot be made here (they need root)");
  }
  shell("ip netns del " + a);
  shell("ip netns del " + b);
}
