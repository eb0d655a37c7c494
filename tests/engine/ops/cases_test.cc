// Drives every row of the op table through every check. A failing check names the row.
#include <catch2/catch.hpp>

#include "engine/cases/checks.h"
#include "wide_work_scope.h"

using namespace engine;

namespace {
void run_all(CaseReport (*check_row)(const OpCase&)) {
  for (const OpCase& c : all_cases()) {
    INFO(c.name());
    CaseReport report;
    try {
      report = check_row(c);
    } catch (const std::exception& e) {
      report = {false, e.what()};
    }
    INFO(report.text);
    CHECK(report.ok);
  }
}
bool has_elements(const OpCase& c) {
  for (const CaseInput& input : c.inputs)
    if (input.shape.numel() == 0) return false;
  return true;
}
}  // namespace

TEST_CASE("every op agrees with its reference in f64") { run_all(check_value); }
TEST_CASE("every op passes the gradient check") {
  run_all([](const OpCase& c) { return check_gradients(c); });
}
TEST_CASE("every op keeps its precision in f32, bf16 and f16") { run_all(check_dtypes); }
TEST_CASE("every op gives the same bits for non-contiguous inputs") { run_all(check_strides); }
TEST_CASE("every op gives the same bits for any number of threads") { run_all(check_threads); }
TEST_CASE("no op reads memory that nobody has written") { run_all(check_poison); }
TEST_CASE("every op keeps all that where no f32 work counts as small") {
  const WideWorkScope none(0);
  run_all(check_dtypes);
  run_all(check_strides);
  run_all(check_threads);
  run_all(check_poison);
}
TEST_CASE("every op's own row notices a backward that is 1 percent off") {
  run_all([](const OpCase& c) { return has_elements(c) ? check_mutation(c) : CaseReport{}; });
}
