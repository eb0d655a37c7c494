// Rows of the op table for engine/ops/softmax.h.
#include <algorithm>
#include <cmath>

#include "engine/cases/case.h"
#include "engine/ops/softmax.h"

namespace engine {
namespace {

std::vector<HostTensor> host_softmax(const HostTensor& x, bool log) {
  HostTensor y(x.shape);
  const int64_t n = x.shape.back();
  for (int64_t r = 0; r < x.rows(); ++r) {
    const double largest = *std::max_element(x.row(r), x.row(r) + n);
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += std::exp(x.row(r)[i] - largest);
    for (int64_t i = 0; i < n; ++i) {
      const double shifted = x.row(r)[i] - largest;
      y.row(r)[i] = log ? shifted - std::log(sum) : std::exp(shifted) / sum;
    }
  }
  return {y};
}

}  // namespace

void add_softmax_cases(std::vector<OpCase>& cases) {
  for (bool log : {false, true})
    for (const Shape& shape :
         {Shape{2, 3, 8}, Shape{1, 2}, Shape{0, 3}, Shape{3, 0}, Shape{5, 61}, Shape{1, 523}})
      cases.push_back(
          {.op = log ? "log_softmax" : "softmax",
           .node = log ? "log_softmax" : "softmax",
           .detail = join_text(shape),
           .inputs = {{"x", shape}},
           .run = [log](const auto& t) { return std::vector{log ? log_softmax(t[0]) : softmax(t[0])}; },
           .reference = [log](const auto& t) { return host_softmax(t[0], log); },
           .reduction = std::max<int64_t>(shape.back(), 9)});
}

}  // namespace engine
