// Rows of the op table for engine/ops/reduce.h.
#include <algorithm>

#include "engine/cases/case.h"
#include "engine/ops/reduce.h"

namespace engine {
namespace {

HostTensor host_sum(const HostTensor& x, int axis, bool keep_axis, double factor) {
  int64_t outer = 1, inner = 1;
  Shape shape;
  for (int i = 0; i < x.shape.rank(); ++i) {
    if (i < axis) outer *= x.shape[i];
    if (i > axis) inner *= x.shape[i];
    if (i != axis || keep_axis) shape.append(i == axis ? 1 : x.shape[i]);
  }
  HostTensor y(shape);
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t j = 0; j < x.shape[axis]; ++j)
      for (int64_t i = 0; i < inner; ++i)
        y.v[size_t(o * inner + i)] += factor * x.v[size_t((o * x.shape[axis] + j) * inner + i)];
  return y;
}

}  // namespace

void add_reduce_cases(std::vector<OpCase>& cases) {
  for (const Shape& shape :
       {Shape{3, 5, 7}, Shape{1, 1, 1}, Shape{0, 3, 2}, Shape{2, 0, 3}, Shape{1, 307, 3}})
    for (int axis = 0; axis < 3; ++axis) {
      const bool keep_axis = axis == 1;
      cases.push_back(
          {.op = "sum",
           .node = "sum",
           .detail = join_text(shape, " over axis ", axis),
           .inputs = {{"x", shape}},
           .run = [=](const auto& t) { return std::vector{sum(t[0], axis, keep_axis)}; },
           .reference = [=](const auto& t) { return std::vector{host_sum(t[0], axis, keep_axis, 1)}; },
           .reduction = shape[axis]});
      if (shape[axis] == 0) continue;
      cases.push_back({.op = "mean",
                       .node = "sum",
                       .detail = join_text(shape, " over axis ", axis),
                       .inputs = {{"x", shape}},
                       .run = [=](const auto& t) { return std::vector{mean(t[0], axis - 3, keep_axis)}; },
                       .reference =
                           [=](const auto& t) {
                             return std::vector{host_sum(t[0], axis, keep_axis, 1 / double(shape[axis]))};
                           },
                       .reduction = shape[axis]});
    }
  for (const Shape& shape : {Shape{5, 7}, Shape{}, Shape{0}, Shape{20011}}) {
    cases.push_back({.op = "sum_all",
                     .node = "sum",
                     .detail = join_text(shape),
                     .inputs = {{"x", shape}},
                     .run = [](const auto& t) { return std::vector{sum_all(t[0])}; },
                     .reference =
                         [](const auto& t) {
                           HostTensor y((Shape()));
                           for (double x : t[0].v) y.v[0] += x;
                           return std::vector{y};
                         },
                     .reduction = std::max<int64_t>(shape.numel(), 1)});
  }
}

}  // namespace engine
