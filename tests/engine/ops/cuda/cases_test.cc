// The op table on the stand-in: every row, forward and backward, in four dtypes.
#include <catch2/catch.hpp>

#include "engine/cases/checks.h"
#include "engine/cuda/host/settings.h"

using namespace engine;

namespace {

void run_all() {
  for (const OpCase& c : all_cases()) {
    INFO(c.name());
    CaseReport report;
    try {
      report = check_device(c, Device::cuda_host);
    } catch (const std::exception& e) {
      report = {false, e.what()};
    }
    INFO(report.text);
    CHECK(report.ok);
  }
}

TEST_CASE("cuda-host: every row of the op table, threads and blocks forward", "[medium]") { run_all(); }
TEST_CASE("cuda-host: every row of the op table, threads and blocks in a random order", "[medium]") {
  const standin::Settings before = standin::settings();
  standin::settings().schedule = standin::Schedule::random;
  standin::settings().seed = 11;
  run_all();
  standin::settings() = before;
}

}  // namespace
