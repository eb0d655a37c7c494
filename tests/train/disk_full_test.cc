// A disk that is full, in two ways: a tiny tmpfs (needs root), and a limit on the size of files (anywhere).
// Every command ends with one clear line and 2, nothing half-written has its final name, and a run goes on
// from its last checkpoint as if nothing had happened.
#include <filesystem>

#include "engine/base/file.h"
#include "run_program.h"
#include "small_disk.h"
#include "train/checkpoint/checkpoint_dir.h"
#include "training_support.h"

using namespace train;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

const std::string no_space = "No space left on device", too_large = "File too large";

/// Every file below a folder, by its path inside it.
std::vector<std::string> files_below(const std::string& folder) {
  std::vector<std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (!entry.is_directory()) out.push_back(fs::relative(entry.path(), folder).string());
  std::sort(out.begin(), out.end());
  return out;
}

std::string words(int64_t bytes) {
  engine::Rng rng{7};
  std::string out;
  while (int64_t(out.size()) < bytes) {
    for (uint64_t n = 1 + rng.below(9); n > 0; --n) out += char('a' + rng.below(26));
    out += rng.below(8) == 0 ? '\n' : ' ';
  }
  return out;
}

/// Text and a tokenizer to make things from, outside the disk that fills.
struct Material {
  Material() {
    engine::write_file(folder / "text.txt", words(300'000));
    engine::write_file(folder / "little.txt", words(20'000));
    REQUIRE(
        run_normlab("tokenizer train --kind byte --special '<|endoftext|>' --out " + folder / "tok").code ==
        0);
    fs::create_directory(folder / "disk");
  }
  TemporaryFolder folder;
  std::string disk = folder / "disk";
};

struct Command {
  std::string arguments, file;    // the file that it names when it cannot write
  std::vector<std::string> left;  // complete files that may stay
};

std::vector<Command> commands(const Material& m) {
  const std::string text = m.folder / "text.txt";
  return {{"corpus " + text + " --out " + m.disk, "train.txt", {}},
          {"tokenizer train --input " + text + " --vocab-size 20000 --out " + m.disk, "tokenizer.json", {}},
          {"prepare --tokenizer " + m.folder / "tok" + " --input " + text + " --out " + m.disk,
           "train-00000.bin",
           {"tokenizer.json"}}};
}

void check_refusal(const ProgramEnd& end, const Command& command, const std::string& reason,
                   const Material& m) {
  INFO(command.arguments << "\n" << end.output);
  CHECK(end.code == 2);
  CHECK_THAT(end.last_line(), Contains(command.file) && Contains(reason));
  CHECK(end.output.find(reason) == end.output.rfind(reason));
  CHECK(files_below(m.disk) == command.left);
}

}  // namespace

TEST_CASE("corpus, tokenizer train and prepare on a full disk leave nothing half-written") {
  const Material material;
  const SmallDisk disk(material.disk, "128k");
  if (!disk.usable()) return;
  for (const Command& command : commands(material)) {
    check_refusal(run_normlab(command.arguments), command, no_space, material);
    for (const std::string& file : command.left) fs::remove(material.disk + "/" + file);
  }
}

TEST_CASE("corpus, tokenizer train and prepare where files may not grow") {
  const Material material;
  for (const Command& command : commands(material)) {
    check_refusal(run_normlab(command.arguments, "ulimit -f 64;"), command, too_large, material);
    for (const std::string& file : command.left) fs::remove(material.disk + "/" + file);
  }
}

TEST_CASE("a full disk behind standard output is an error too") {
  const Material material;
  const ProgramEnd end = run_normlab("tokenizer encode --tokenizer " + material.folder / "tok" + " < " +
                                     material.folder / "text.txt" + " > /dev/full");
  CHECK(end.code == 2);
  CHECK(end.output ==
        "normlab tokenizer encode: cannot write to standard output (No space left on device)\n");
}

TEST_CASE("prepare goes on once there is room, and gives the same shards") {
  const Material material;
  const SmallDisk disk(material.disk, "160k");
  if (!disk.usable()) return;
  const std::string arguments = "prepare --shard-tokens 20000 --units line --tokenizer " +
                                material.folder / "tok" + " --input " + material.folder / "text.txt" +
                                " --out ";
  const ProgramEnd full = run_normlab(arguments + material.disk);
  INFO(full.output);
  CHECK(full.code == 2);
  const size_t shards_before = files_below(material.disk).size();
  CHECK(shards_before > 3);
  REQUIRE(disk.resize("4m"));
  REQUIRE(run_normlab(arguments + material.disk).code == 0);
  REQUIRE(run_normlab(arguments + material.folder / "whole").code == 0);
  REQUIRE(files_below(material.disk) == files_below(material.folder / "whole"));
  CHECK(files_below(material.disk).size() > shards_before);
  for (const std::string& file : files_below(material.disk))
    CHECK(engine::read_file(material.disk + "/" + file) ==
          engine::read_file(material.folder / "whole/" + file));
}

namespace {

/// A run that has checkpoints at steps 4 and 8, and its twin that nothing ever stopped.
struct StoppedRun {
  StoppedRun() {
    job.set("checkpoint.keep", 4).set("checkpoint.keep_best", 0).set("eval.every", 0);
    engine::write_file(config, job.config.dump());
    REQUIRE(train("whole").code == 0);
  }
  ProgramEnd train(const std::string& name, const std::string& more = "", const std::string& before = "") {
    return run_normlab("train --config " + config + " --out " + job.run(name) + " " + more, before);
  }
  std::vector<int64_t> intact_steps() const {
    std::vector<int64_t> out;
    for (const CheckpointInfo& c : list_checkpoints(run)) out.push_back(verify_checkpoint(c.folder).step);
    return out;
  }
  /// Every checkpoint that failed is a warning, but the last: that one is the end's error.
  void check_stop(const ProgramEnd& end, const std::string& reason, size_t warnings) const {
    INFO(end.output);
    CHECK(end.code == 2);
    CHECK_THAT(end.last_line(), Contains("normlab train: ") && Contains(reason));
    const std::string told = reason + "); training goes on, the next checkpoint is the next attempt";
    size_t said = 0;
    for (size_t at = end.output.find(told); at != std::string::npos; at = end.output.find(told, at + 1))
      ++said;
    CHECK(said == warnings);
  }

  Job job;
  std::string config = job.folder / "config.json", run = job.run("run");
};

}  // namespace

TEST_CASE("training onto a disk that stays full ends with an error, and goes on from its last checkpoint") {
  StoppedRun stopped;
  fs::create_directory(stopped.run);
  const uintmax_t size = [&] {
    uintmax_t bytes = 0;
    const std::string folder = list_checkpoints(stopped.job.run("whole")).back().folder;
    for (const std::string& file : files_below(folder))
      bytes += (fs::file_size(folder + "/" + file) + 4095) / 4096 * 4096;
    return bytes;
  }();
  const SmallDisk disk(stopped.run, std::to_string(size * 5 / 2 / 1024) + "k");  // two checkpoints and a half
  if (!disk.usable()) return;
  stopped.check_stop(stopped.train("run"), no_space, 3);
  CHECK(stopped.intact_steps() == std::vector<int64_t>{4, 8});
  REQUIRE(disk.resize("64m"));
  REQUIRE(stopped.train("run", "--resume").code == 0);
  CHECK(series(stopped.run, "loss") == series(stopped.job.run("whole"), "loss"));
}

TEST_CASE("training where files may not grow ends with an error, and goes on from its last checkpoint") {
  StoppedRun stopped;
  REQUIRE(stopped.train("run", "--set budget.steps=8").code == 0);
  REQUIRE(stopped.intact_steps() == std::vector<int64_t>{4, 8});
  stopped.check_stop(stopped.train("run", "--resume", "ulimit -f 32;"), too_large, 3);
  CHECK(stopped.intact_steps() == std::vector<int64_t>{4, 8});
  REQUIRE(stopped.train("run", "--resume").code == 0);
  CHECK(series(stopped.run, "loss") == series(stopped.job.run("whole"), "loss"));
}
