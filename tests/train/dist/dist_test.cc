// `normlab train` under mpirun: bits, errors, launchers, machines. deaths_test.cc, signals_test.cc, disk_test.cc have
// what goes wrong on the way; where a hand inside the program is needed, ranks are threads (../ranks).
//
// What other systems got wrong with several ranks, and the case that would show it here:
//
//   overflow on one rank, the others wait (ColossalAI #1175)     faults: an overflow on one rank
//   a mean of ranks' means (torchtitan #1842, prime-rl #1957)    faults: ranks with 3 and 50 scored positions; ranks: a
//                                                                masked model
//   one rank without a batch (fairseq #1726, DeepSpeed #2223)    faults: ... and with none; ranks: fewer rows than ranks
//                                                                take at once
//   order of rows after a resume (torchft #292,                  restart: 4, 2, 1 and 3 ranks over an epoch's end
//   accelerate #4071)
//   ZeRO state bound to N (DeepSpeed #2898, #3810)               restart: any number of ranks goes on from any other
//   N that must divide the model (llm.c's zero.cuh)              ranks: 3 ranks, odd sizes; smaller than one bucket
//   validation by rank, padded (litgpt #599, pytorch #25162)     ranks: validation of 7 batches; early stop of 3 ranks
//   only rank 0 sees a file (KempnerForge #49, kaldi #4346)      mpirun: only rank 0 sees the run folder
//   writer and trainer in collectives (KempnerForge #104)        disk: a checkpoint every update, by a slow writer
//   tied weights (Megatron #844, TransformerEngine #545)         ranks: tree: tied, untied, with and without ZeRO
//   idle experts (pytorch #128949, PaddleFormers #3010)          faults: experts that no position of one rank chooses
//   norms of parts (DeepSpeed #8475, pytorch/xla #4796)          ranks: tree: clipping is always active there
//   one dropout mask on all ranks (transformers #31412)          faults: ranks drop different positions
//   clocks of their own (foundation-model-stack #213)            signals: a rank whose clock is ahead
//   a signal that one rank sees (ace #1407, spd #741)            signals: to one rank, in an update, validation, checkpoint
//   hangs without words (nccl #1111, #1260, pytorch #97191)      deaths: a rank that hangs
//   an exception on one rank (pytorch #87995, prime-rl #2815)    deaths: data of one rank; while it writes; disk: full
//   ranks that drift apart (fairseq #1359, #3920)                faults: a bit that flips on one rank
//   different collectives (horovod #2640)                        test_comm: with check, other collectives are both named
//   N runs of one rank (ompi #13523)                             mpirun: several tasks of SLURM
#include <catch2/catch.hpp>

#include <sys/stat.h>

#include "engine/kernel/isa.h"
#include "launch.h"

using namespace train;
using Catch::Matchers::Contains;

namespace {

void damage_one_byte(const std::string& path) {
  std::string bytes = engine::read_file(path, size_t(1) << 30);
  bytes[bytes.size() / 2] = char(bytes[bytes.size() / 2] ^ 1);
  engine::write_file(path, bytes);
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
  SECTION("ranks with different data to validate on") {
    write_shard(job.folder / "other.bin", learnable_tokens(500, 16, 9), 16);
    for (const std::string name : {"a", "b"}) {
      engine::make_directories(job.folder / name);
      engine::write_file(job.folder / name + "/data.bin",
                         engine::read_file(job.folder / (name == "a" ? "valid.bin" : "other.bin")));
    }
    job.set("data.valid", "data.bin");
    const std::string one = job.command(2, "run"), wdir = "--wdir " + (job.folder / "");
    Started program(launcher() + "-np 1 " + wdir + "a " + one + " : -np 1 " + wdir + "b " + one, job.log());
    CHECK(program.wait() == 2);
    CHECK(lines_with(program.output(), "has another validation data than rank 0").size() == 1);
  }
  SECTION("ranks with different command lines") {
    const std::string one = job.command(2, "run"), train = std::string(BINARY_DIR) + "/normlab train ";
    engine::write_file(job.folder / "text.txt", std::string(5000, 'a'));
    for (const std::string& other :
         {one + "--dry-run", one + "--resume",
          train + "--text " + job.folder / "text.txt" + " --out " + job.run("run")}) {
      Started program(launcher() + "-np 1 " + one + " : -np 1 " + other, job.log());
      CHECK(program.wait() == 2);
      INFO(other << "\n" << program.output());
      CHECK(lines_with(program.output(), "has another command line than rank 0").size() == 1);
    }
    Started program(launcher() + "-np 1 " + one + " : -np 1 " BINARY_DIR "/normlab bench comm", job.log());
    CHECK(program.wait() == 2);
    CHECK(lines_with(program.output(), "has another command than rank 0").size() == 1);
  }
  SECTION("ranks that compute at different levels of the processor") {
    if (engine::cpu::isa() == engine::cpu::Isa::base) return;
    const std::string one = job.command(2, "run");
    Started program(launcher() + "-np 1 " + one + " : -np 1 env NORMLAB_ISA=base " + one, job.log());
    CHECK(program.wait() == 2);
    CHECK(lines_with(program.output(), "NORMLAB_ISA").size() == 1);
  }
  SECTION("the plug-in is missing where one rank runs") {
    const std::string one = job.command(2, "run");
    Started program(launcher() + "-np 1 " + one + " : -np 1 env NORMLAB_PLUGINS=/nonexistent " + one,
                    job.log());
    CHECK(program.wait() == 2);
    CHECK(lines_with(program.output(), "rank 1: a launcher started 2 ranks").size() == 1);
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

TEST_CASE("mpirun: a plan is that of all ranks", "[dist]") {
  if (!have_mpi()) return;
  DistJob job;
  job.set("budget.steps", 0).set("budget.epochs", 2).set("schedule.steps", 0).set("data.accumulate", 2);
  const auto updates = [&](int ranks) {
    const std::string same =
        std::string(BINARY_DIR "/normlab train --dry-run --json --quiet --config ") + job.folder / "c.json";
    engine::write_file(job.folder / "c.json", job.config.dump());
    Started program(launcher() + "-np " + std::to_string(ranks) + " " + same, job.log());
    REQUIRE(program.wait() == 0);
    return engine::parse_json(program.output(), "plan")["updates"].get<int64_t>();
  };
  const int64_t one = updates(1);
  CHECK(std::abs(updates(2) - one / 2) <= 1);
}

TEST_CASE("mpirun: the model that a run began from need not be there when it goes on", "[dist]") {
  if (!have_mpi()) return;
  DistJob job;
  REQUIRE(job.train_on(1, "first") == 0);
  REQUIRE(job.train_on(2, "run", "--from " + job.run("first")) == 0);
  engine::remove_tree(job.run("first"));
  Started program(
      launcher() + "-np 2 " BINARY_DIR "/normlab train --resume --set budget.steps=8 --out " + job.run("run"),
      job.log());
  const int code = program.wait();
  INFO(program.output());
  CHECK(code == 0);
}

TEST_CASE("mpirun: a text alone: rank 0 makes its tokens, and the numbers are those of one process", "[dist]") {
  if (!have_mpi()) return;
  DistJob job;
  job.config["model"].erase("vocab_size");
  std::string words;
  for (int32_t id : learnable_tokens(4000, 16, 1)) words += std::string(1, char('a' + id)) + (id % 5 ? "" : "\n");
  engine::write_file(job.folder / "text.txt", words);
  const std::string text = "--text " + job.folder / "text.txt";
  for (int ranks : {1, 2}) {
    const int code = job.train_on(ranks, std::to_string(ranks), text);
    INFO(job.output);
    REQUIRE(code == 0);
    CHECK(lines_with(job.output, "tokens: ").size() == 1);
    CHECK(engine::file_exists(job.run(std::to_string(ranks)) + "/sample.txt"));
  }
  job.check_equal("1", "2");
  Started program(launcher() + "-np 2 " BINARY_DIR "/normlab train --resume --set budget.steps=8 --out " + job.run("2"),
                  job.log());  // the run says what it is: neither --text nor --config
  const int code = program.wait();
  INFO(program.output());
  REQUIRE(code == 0);
  CHECK(series(job.run("2"), "loss").size() == 8);

  CHECK(job.train_on(2, "none", "--text " + job.folder / "nothing.txt") == 2);
  CHECK(lines_with(job.output, "normlab train: ").size() == 1);
}

TEST_CASE("mpirun: a text that does not come is given up by a signal to any rank", "[dist]") {
  if (!have_mpi()) return;
  DistJob job;
  job.config["model"].erase("vocab_size");
  const std::string pipe = job.folder / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  const int held = ::open(pipe.c_str(), O_RDWR);  // nothing comes, and no end
  Started program(launcher() + "-np 2 " + job.command(2, "run", "--text - < ") + pipe, job.log());
  while (program.running() && !engine::file_exists(job.run("run") + "/.lock")) ::usleep(20000);
  ::usleep(200000);
  ::kill(program.pid(), SIGUSR1);
  const int code = program.wait();
  ::close(held);
  INFO(program.output());
  CHECK(code == 130);
  CHECK(lines_with(program.output(), "nothing was trained yet").size() == 1);
  CHECK(processes_with(job.run("run")).empty());
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
