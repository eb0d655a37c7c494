// Rows of the op table for engine/ops/head_scale.h.
#include "engine/cases/case.h"
#include "engine/ops/head_scale.h"

namespace engine {

void add_head_scale_cases(std::vector<OpCase>& cases) {
  struct Sizes {
    int64_t batch, time, heads, n;
  };
  for (const auto& s : {Sizes{2, 5, 3, 8}, Sizes{1, 1, 1, 1}, Sizes{0, 5, 2, 3}, Sizes{3, 67, 7, 13}}) {
    cases.push_back({.op = "head_scale",
                     .node = "head_scale",
                     .detail = join_text("[", s.batch, ", ", s.time, ", ", s.heads, "x", s.n, "]"),
                     .inputs = {{"x", {s.batch, s.time, s.heads * s.n}},
                                {.name = "gain", .shape = {s.heads}, .parameter = true}},
                     .run = [](const auto& t) { return std::vector{head_scale(t[0], t[1])}; },
                     .reference =
                         [s](const auto& t) {
                           HostTensor y(t[0].shape);
                           for (size_t i = 0; i < y.v.size(); ++i)
                             y.v[i] = t[0].v[i] * t[1].v[i % size_t(s.heads * s.n) / size_t(s.n)];
                           return std::vector{y};
                         },
                     .reduction = s.batch * s.time * s.n});
  }
}

}  // namespace engine
