// A masked LM leaves the unigram plateau. It sits there until its attention finds the neighbours of a masked
// token, which small initial weights (normal 0.02 at width 128) delay by thousands of updates; the
// configuration of docs/configs/demo-mlm.json starts with weights of 1/sqrt(2.5 width) and rotary positions.
#include <catch2/catch.hpp>
#include <cstdlib>

#include "data/token_stream.h"
#include "data/tokenizer.h"
#include "engine/base/file.h"
#include "shared_data.h"
#include "train/perplexity.h"
#include "train/run_data.h"
#include "training_support.h"

using namespace train;

namespace {

void run_normlab(const std::string& arguments) {
  INFO(arguments);
  REQUIRE(std::system((BINARY_DIR "/normlab " + arguments + " </dev/null >/dev/null 2>&1").c_str()) == 0);
}

/// How far below the unigram entropy the model is after `updates`, on text that was not seen. Tiny
/// Shakespeare by bytes: an update is 16 rows of 64 bytes, 15 % masked.
double nats_below_unigram(int64_t updates) {
  Job job;
  const std::string text = engine::read_file(shared_path("data/tinyshakespeare/input.txt"));
  const size_t cut = text.find('\n', size_t(0.9 * double(text.size()))) + 1;
  engine::make_directories(job.folder / "text");
  engine::write_file(job.folder / "text/train.txt", text.substr(0, cut));
  engine::write_file(job.folder / "text/valid.txt", text.substr(cut));
  const std::string tokenizer = job.folder / "tokenizer", tokens = job.folder / "tokens";
  run_normlab(
      "tokenizer train --kind byte --special '<s>' --special '<pad>' --special '</s>' --special '<mask>' "
      "--out " +
      tokenizer);
  run_normlab("prepare --tokenizer " + tokenizer + " --input " + (job.folder / "text/train.txt") +
              " --input " + (job.folder / "text/valid.txt") + " --units line --out " + tokens);
  job.config = engine::read_json(SOURCE_DIR "/docs/configs/demo-mlm.json");
  job.config["budget"] = {{"steps", updates}};
  job.config["model"]["vocab_size"] = 260;
  job.config["model"]["objective"] = "mlm";
  job.set("data.tokenizer", tokenizer)
      .set("data.train", tokens + "/train")
      .set("data.valid", tokens + "/valid");
  job.set("eval.batches", 0).set("eval.every", 0).set("checkpoint.seconds", 0).set("log.every", 100);
  job.train("run");
  const auto loaded = data::load_tokenizer(tokenizer);
  const double unigram = unigram_entropy(*open_tokens(tokens + "/valid", loaded.get()), loaded.get());
  return unigram - series(job.run("run"), "valid_loss").back();
}

}  // namespace

TEST_CASE("a masked LM is 0.3 nats below the unigram entropy after 300 updates", "[medium]") {
  if (shared_path("data/tinyshakespeare/input.txt").empty()) return;
  CHECK(nats_below_unigram(300) > 0.3);
}

TEST_CASE("a masked LM is 1 nat below the unigram entropy after 2,000 updates", "[slow]") {
  if (shared_path("data/tinyshakespeare/input.txt").empty()) return;
  CHECK(nats_below_unigram(2000) > 1);
}
