// A device that runs out of memory or is lost while it trains: one line, exit 1 once training had begun, and
// a checkpoint to go on from.
#include <catch2/catch.hpp>

#include "run_program.h"
#include "train/failure.h"
#include "training_support.h"

using namespace train;
using Catch::Matchers::Contains;

namespace {

// Trains with a device that is lost in update `step`.
void lose_device(Job& job, const std::string& name, int64_t step, RunStart start) {
  const TrainConfig parsed = parse_config(job.config, "test");
  RunDir dir(job.run(name), start);
  dir.write_config(config_json(parsed));
  Trainer trainer(parsed, models::model_config_from_section(parsed.model, "model"), dir);
  trainer.watch([&](const UpdateView& view) {
    if (view.step == step)
      throw engine::DeviceError("device cuda: waiting for the device: it fell off the bus");
    return true;
  });
  trainer.run();
}

}  // namespace

TEST_CASE("a device that is lost in the middle of a run leaves its checkpoints") {
  Job job;
  job.set("budget.steps", 8).set("checkpoint.every", 2);
  job.train("whole");
  // As any setting that cannot work where nothing has been trained; a failure of the run later.
  CHECK_THROWS_AS(lose_device(job, "early", 1, RunStart::fresh), engine::DeviceError);
  CHECK_THROWS_AS(lose_device(job, "late", 6, RunStart::fresh), Failure);
  CHECK_THROWS_WITH(lose_device(job, "late", 6, RunStart::resume),
                    Contains("step 6: device cuda: ") && Contains("--resume goes on"));
  job.train("late", RunStart::resume);
  CHECK(series(job.run("late"), "loss") == series(job.run("whole"), "loss"));
}

#if defined(ENGINE_HAS_cuda_host)
TEST_CASE("a device with too little memory is one line that says what would help") {
  Job job;
  job.set("device", "cuda-host");
  engine::write_file(job.folder / "config.json", job.config.dump());
  const ProgramEnd out =
      run_normlab("--version; NORMLAB_CUDA_HOST=memory=0 " BINARY_DIR "/normlab train --config " +

                 (job.folder / "config.json") + " --out " + job.run("small"));
  INFO(out.output);
  CHECK(out.code == 2);
  CHECK_THAT(out.output,
             Contains("device cuda-host: out of memory: cannot allocate") && Contains("smaller batch"));
}
#endif
