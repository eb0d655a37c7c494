// metrics.jsonl, TensorBoard records and the progress line.
#include "train/metrics.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <thread>

#include "engine/base/check.h"
#include "engine/base/crc32c.h"
#include "engine/base/file.h"
#include "temporary_folder.h"
#include "train/progress.h"
#include "train/tensorboard.h"

using namespace train;
using Catch::Matchers::Contains;
using engine::Json;

TEST_CASE("metrics: lines are appended, read back, and cut at the resume step") {
  TemporaryFolder folder;
  const std::string path = folder / "metrics.jsonl";
  const auto line = [](int step) { return Json{{"step", step}, {"loss", 1.0 / step}}; };
  {
    MetricsLog log(path, 0);
    for (int step = 1; step <= 10; ++step) log.write(line(step));
    log.write({{"step", 10}, {"valid_loss", NAN}});
  }
  CHECK(read_metrics(path).size() == 11);
  CHECK(read_metrics(path)[10]["valid_loss"].is_null());
  const std::string whole = engine::read_file(path);
  {
    MetricsLog log(path, 6);
    CHECK(read_metrics(path).size() == 6);
    for (int step = 7; step <= 10; ++step) log.write(line(step));
    log.write({{"step", 10}, {"valid_loss", NAN}});
  }
  CHECK(engine::read_file(path) == whole);
  MetricsLog fresh(path, 0);
  CHECK(read_metrics(path).empty());
  CHECK_THROWS_WITH(fresh.write({{"loss", 1}}), Contains("needs an integer \"step\""));
}

TEST_CASE("metrics: a line that a crash cut off is dropped, a broken one is an error with its number") {
  TemporaryFolder folder;
  const std::string path = folder / "metrics.jsonl";
  engine::write_file(path, "{\"step\": 1}\n{\"step\": 2}\n{\"step\": 3, \"lo");
  CHECK(read_metrics(path).size() == 2);
  { MetricsLog log(path, 5); }
  CHECK(engine::read_file(path) == "{\"step\": 1}\n{\"step\": 2}\n");
  engine::write_file(path, "{\"step\": 1}\nnonsense\n");
  CHECK_THROWS_WITH(read_metrics(path), Contains("metrics.jsonl:2: not valid JSON"));
  engine::write_file(path, "{\"step\": \"1\"}\n");
  CHECK_THROWS_WITH(read_metrics(path), Contains(":1: expected an object with an integer"));
}

namespace {

uint32_t word_at(const std::string& text, size_t at) {
  uint32_t x;
  std::memcpy(&x, text.data() + at, 4);
  return x;
}

/// The data of every record, with both checksums verified.
std::vector<std::string> records(const std::string& file) {
  const auto masked = [](const std::string& s) {
    const uint32_t crc = engine::crc32c(s.data(), s.size());
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
  };
  std::vector<std::string> out;
  for (size_t at = 0; at < file.size();) {
    const uint32_t size = word_at(file, at);
    REQUIRE(word_at(file, at + 8) == masked(file.substr(at, 8)));
    out.push_back(file.substr(at + 12, size));
    REQUIRE(word_at(file, at + 12 + size) == masked(out.back()));
    at += 16 + size;
  }
  return out;
}

}  // namespace

TEST_CASE("tensorboard: framing, file version, session start, scalars") {
  TemporaryFolder folder;
  std::string path;
  {
    EventWriter writer(folder.path, 40);
    EventWriter second(folder.path, 0);  // in the same second: another file
    path = writer.file().path();
    CHECK(second.file().path() != path);
    writer.write(
        {{"step", 41}, {"loss", 2.5}, {"note", "text"}, {"layers", {{{"layer", 3}, {"grad_norm", 0.5}}}}});
    writer.write({{"step", 42}, {"valid_loss", nullptr}});
    writer.write({{"step", 43}});
    CHECK(records(engine::read_file(path)).size() == 4);  // at once, so that kill -9 loses none
  }
  CHECK_THAT(path, Contains("/events.out.tfevents."));
  const std::vector<std::string> all = records(engine::read_file(path));
  REQUIRE(all.size() == 4);
  CHECK_THAT(all[0], Contains("brain.Event:2"));
  CHECK_THAT(all[1],
             Contains(std::string("\x3a\x02\x08\x01", 4)));  // field 7 (session log) holding field 1 = START
  // Field 5 (summary) of field 1 (value) of field 1 (tag) and field 2 (float): protobuf's wire format, by
  // hand.
  CHECK_THAT(all[2], Contains(std::string("\x0a\x11\x0a\x0atrain/loss\x15\x00\x00\x20\x40", 19)));
  CHECK_THAT(all[2], Contains("layers/grad_norm/3") && !Contains("note"));
  CHECK_THAT(all[3], Contains("valid/loss"));
  CHECK_THROWS_WITH(EventWriter("/dev/null/x", 0), Contains("/dev/null/x"));
}

TEST_CASE("metrics: are read while a run begins them anew") {
  TemporaryFolder folder;
  const std::string path = folder / "metrics.jsonl";
  std::atomic<int> begun = 0;
  std::thread run([&] {
    for (int i = 0; i < 300; ++i) {
      MetricsLog log(path, 0);
      for (int step = 1; step <= 100; ++step) log.write({{"step", step}, {"loss", 1.0}});
      ++begun;
    }
  });
  while (begun == 0) std::this_thread::yield();
  while (begun < 300) CHECK_NOTHROW(read_metrics(path));
  run.join();
}

TEST_CASE("progress: the line, the bar, the time that is left") {
  ProgressState s;
  s.step = 1040, s.total_steps = 2000, s.done = 0.52, s.loss = std::log(6.84), s.tokens_per_second = 12345,
  s.elapsed = 67;
  CHECK(progress_line(s) == "step 1040/2000  loss 1.9228  ppl 6.84  12.3k tok/s  ETA 1:02");
  CHECK_THAT(progress_bar(s, 100, false),
             Contains("###############..............") && Contains("  52%  step 1040"));
  CHECK_THAT(progress_bar(s, 100, true), Contains("━╸─"));
  CHECK(progress_bar(s, 40, false).size() <= 39);
  s.done_at_start = 0.5, s.elapsed = 2;
  CHECK(eta_seconds(s) == Approx(48));
  s.done = s.done_at_start = 0;
  CHECK(std::isnan(eta_seconds(s)));
  s.loss = 20, s.total_steps = 0;
  CHECK_THAT(progress_line(s), Contains("ppl 4.852e+08") && Contains("step 1040  loss") && Contains("ETA ?"));
}
