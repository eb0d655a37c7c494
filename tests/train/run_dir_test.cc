// Run directories and checkpoints: atomic, checksummed, pruned, found again; damage is detected and named.
#include "train/checkpoint/run_dir.h"

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "temporary_folder.h"
#include "train/checkpoint/checkpoint_dir.h"

using namespace train;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
namespace fs = std::filesystem;

namespace {

std::string save(const std::string& run, int64_t step, std::optional<double> loss = {}) {
  CheckpointWriter writer(run, step);
  engine::write_file(writer.folder() + "/model.safetensors", "weights of step " + std::to_string(step));
  engine::write_file(writer.folder() + "/empty", "");
  return writer.commit(loss);
}

std::vector<int64_t> steps(const std::string& run) {
  std::vector<int64_t> out;
  for (const CheckpointInfo& c : list_checkpoints(run)) out.push_back(c.step);
  return out;
}

void overwrite(const std::string& path, const std::string& text) {
  FILE* f = fopen(path.c_str(), "wb");
  REQUIRE(f != nullptr);
  fwrite(text.data(), 1, text.size(), f);
  fclose(f);
}

}  // namespace

TEST_CASE("checkpoints: written whole, listed by step, verified") {
  TemporaryFolder run;
  const std::string folder = save(run.path, 100, 1.5);
  CHECK_THAT(folder, EndsWith("/checkpoints/step-00000100"));
  save(run.path, 20);
  save(run.path, 123456789);
  CHECK(steps(run.path) == std::vector<int64_t>{20, 100, 123456789});
  const CheckpointInfo info = verify_checkpoint(folder);
  CHECK(info.step == 100);
  CHECK(info.valid_loss == 1.5);
  CHECK_FALSE(list_checkpoints(run.path)[0].valid_loss);
  CHECK(list_checkpoints(run / "none").empty());
}

TEST_CASE("checkpoints: without commit nothing is left, a step saved twice is replaced") {
  TemporaryFolder run;
  {
    CheckpointWriter writer(run.path, 5);
    engine::write_file(writer.folder() + "/x", "x");
    CHECK(steps(run.path).empty());
  }
  CHECK(fs::is_empty(run / "checkpoints"));
  save(run.path, 7, 2.0);
  CheckpointWriter again(run.path, 7);
  engine::write_file(again.folder() + "/model.safetensors", "second");
  const std::string folder = again.commit(1.0);
  CHECK(engine::read_file(folder + "/model.safetensors") == "second");
  CHECK(verify_checkpoint(folder).valid_loss == 1.0);
  CHECK(steps(run.path) == std::vector<int64_t>{7});
}

TEST_CASE("checkpoints: NaN as validation loss counts as none") {
  TemporaryFolder run;
  CHECK_FALSE(verify_checkpoint(save(run.path, 1, NAN)).valid_loss);
}

TEST_CASE("checkpoints: every kind of damage is found and named") {
  TemporaryFolder run;
  const std::string folder = save(run.path, 1), weights = folder + "/model.safetensors";
  const std::string good = engine::read_file(weights),
                    manifest = engine::read_file(folder + "/checkpoint.json");

  std::string flipped = good;
  flipped[3] ^= 1;
  overwrite(weights, flipped);
  CHECK_THROWS_WITH(verify_checkpoint(folder), Contains("model.safetensors: its checksum is not the one"));
  overwrite(weights, good.substr(0, 4));
  CHECK_THROWS_WITH(verify_checkpoint(folder), Contains("has 4 bytes, the checkpoint was written with 17"));
  fs::remove(weights);
  CHECK_THROWS_WITH(verify_checkpoint(folder), Contains("model.safetensors: cannot open"));
  overwrite(weights, good);
  CHECK_NOTHROW(verify_checkpoint(folder));

  for (
      const std::string& text :
      {manifest.substr(0, 40), std::string(), std::string("[]"), std::string("{\"format\": 1}"),
       std::string(R"({"format":"normlab-checkpoint","version":1,"step":-4,"files":{}})"),
       std::string(
           R"({"format":"normlab-checkpoint","version":1,"step":4,"files":{"../x":{"bytes":1,"crc32c":"0"}}})"),
       std::string(R"({"format":"normlab-checkpoint","version":1,"step":4,"files":{"x":{"bytes":"1"}}})")}) {
    INFO(text);
    overwrite(folder + "/checkpoint.json", text);
    CHECK_THROWS_WITH(verify_checkpoint(folder), Contains("checkpoint.json"));
  }
}

TEST_CASE("checkpoints: resume takes the newest intact one") {
  TemporaryFolder run;
  CHECK_FALSE(checkpoint_to_resume(run.path));
  save(run.path, 1);
  save(run.path, 2);
  overwrite(save(run.path, 3) + "/model.safetensors", "broken");
  CHECK(checkpoint_to_resume(run.path)->step == 2);
  for (const CheckpointInfo& c : list_checkpoints(run.path)) overwrite(c.folder + "/model.safetensors", "");
  CHECK_THROWS_WITH(checkpoint_to_resume(run.path),
                    Contains("no checkpoint is intact") && Contains("step-00000003"));
}

TEST_CASE("checkpoints: --model means the best, else the last, else the folder itself") {
  TemporaryFolder run;
  CHECK(resolve_model(run.path) == run.path);
  fs::create_directories(run / "checkpoints");
  CHECK_THROWS_WITH(resolve_model(run.path), Contains("no checkpoint yet"));
  save(run.path, 1);
  save(run.path, 2);
  CHECK_THAT(resolve_model(run.path), EndsWith("step-00000002"));
  save(run.path, 3, 1.25);
  save(run.path, 4, 1.5);
  save(run.path, 5, 1.25);
  CHECK_THAT(resolve_model(run.path), EndsWith("step-00000003"));
  CHECK(resolve_model(run / "checkpoints/step-00000001") == run / "checkpoints/step-00000001");
  overwrite(run / "checkpoints/step-00000003/model.safetensors", "x");
  CHECK_THROWS_WITH(resolve_model(run.path), Contains("the one before it is ") && EndsWith("step-00000002"));
  CHECK_THROWS_WITH(resolve_model(run / "nowhere"), Contains("no such folder"));
  CHECK_THROWS_WITH(resolve_model(run / "checkpoints/step-00000001/model.safetensors"),
                    Contains("is a file, not a folder"));
}

TEST_CASE("checkpoints: pruning keeps the newest and the best, and clears what a crash left") {
  TemporaryFolder run;
  const double losses[] = {3.0, 1.0, 2.0, 4.0, 5.0, 6.0};
  for (int i = 0; i < 6; ++i) save(run.path, i + 1, losses[i]);
  fs::create_directories(run / "checkpoints/.tmp-step-00000009");
  prune_checkpoints(run.path, 6, 2, 2);
  CHECK(steps(run.path) == std::vector<int64_t>{2, 3, 5, 6});
  CHECK_FALSE(engine::file_exists(run / "checkpoints/.tmp-step-00000009"));
  prune_checkpoints(run.path, 6, 1, 0);
  CHECK(steps(run.path) == std::vector<int64_t>{6});
}

TEST_CASE("checkpoints: a damaged one does not push out those that the run went on from") {
  TemporaryFolder run;
  for (int64_t step : {10, 20}) save(run.path, step);
  overwrite(save(run.path, 30) + "/model.safetensors", "broken");
  save(run.path, 25);  // resumed from 20
  prune_checkpoints(run.path, 25, 1, 0);
  CHECK(checkpoint_to_resume(run.path)->step == 25);
  save(run.path, 35);
  prune_checkpoints(run.path, 35, 1, 0);
  CHECK(steps(run.path) == std::vector<int64_t>{35});
}

TEST_CASE(
    "checkpoints: a damaged one counts neither among the newest nor as the best when the run has passed it") {
  TemporaryFolder run;
  for (int64_t step : {10, 20}) save(run.path, step, 3.0);
  overwrite(save(run.path, 30, 1.0) + "/model.safetensors", "broken");
  CHECK(checkpoint_to_resume(run.path)->step == 20);
  set_damaged_aside(run.path, 20);
  CHECK(steps(run.path) == std::vector<int64_t>{10, 20});
  CHECK(engine::file_exists(run / "checkpoints/damaged-step-00000030/model.safetensors"));
  save(run.path, 25, 2.5);
  prune_checkpoints(run.path, 25, 2, 1);
  CHECK(engine::file_exists(run / "checkpoints/damaged-step-00000030"));
  save(run.path, 35, 2.75);
  prune_checkpoints(run.path, 35, 2, 1);
  CHECK(steps(run.path) == std::vector<int64_t>{25, 35});
  CHECK_THAT(resolve_model(run.path), EndsWith("step-00000025"));
  CHECK_FALSE(engine::file_exists(run / "checkpoints/damaged-step-00000030"));
}

TEST_CASE("checkpoints: a writer killed at any moment leaves only whole checkpoints", "[medium]") {
  TemporaryFolder run;
  for (int delay = 1; delay <= 12; ++delay) {
    const pid_t child = fork();
    if (child == 0) {
      for (int64_t step = 1;; ++step) {
        save(run.path, step % 4, 1.0);
        prune_checkpoints(run.path, step % 4, 2, 1);
      }
    }
    for (int wait = 0; wait < 1000 && list_checkpoints(run.path).empty(); ++wait) usleep(5000);
    usleep(useconds_t(delay) * 3000);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    for (const CheckpointInfo& c : list_checkpoints(run.path)) CHECK_NOTHROW(verify_checkpoint(c.folder));
  }
  CHECK_FALSE(list_checkpoints(run.path).empty());
}

TEST_CASE("run directory: fresh or resumed, one process at a time") {
  TemporaryFolder folder;
  const std::string path = folder / "a/b";
  {
    RunDir run(path, RunStart::fresh);
    CHECK_FALSE(run.holds_run());
    run.write_config({{"seed", 1}});
    CHECK(run.holds_run());
    CHECK_THROWS_WITH(RunDir(path, RunStart::resume), Contains("another process is training"));
  }
  CHECK_THROWS_WITH(RunDir(path, RunStart::fresh), Contains("already holds a run") && Contains("--resume"));
  CHECK(RunDir(path, RunStart::resume).holds_run());
  // A run whose config was lost still has what must not be trained over.
  save(folder / "b", 5);
  CHECK_THROWS_WITH(RunDir(folder / "b", RunStart::fresh), Contains("already holds a run"));
  engine::write_file(folder / "file", "x");
  CHECK_THROWS_WITH(RunDir(folder / "file", RunStart::fresh), Contains("cannot create the folder"));
}
