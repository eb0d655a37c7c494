// Rows of the op table for engine/ops/rope.h.
#include <cmath>

#include "engine/cases/case.h"
#include "engine/ops/rope.h"

namespace engine {

void add_rope_cases(std::vector<OpCase>& cases) {
  struct Sizes {
    int64_t batch, time, heads, n, offset;
  };
  for (const auto& s : {Sizes{2, 5, 3, 8, 0}, Sizes{1, 1, 1, 2, 0}, Sizes{1, 3, 2, 6, 1000},
                        Sizes{0, 4, 2, 4, 0}, Sizes{2, 0, 1, 2, 3}, Sizes{3, 37, 5, 14, 7}})
    cases.push_back(
        {.op = "rope",
         .node = "rope",
         .detail = join_text("[", s.batch, ", ", s.time, ", ", s.heads, "x", s.n, "] from ", s.offset),
         .inputs = {{"x", {s.batch, s.time, s.heads * s.n}}},
         .run = [s](const auto& t) { return std::vector{rope(t[0], s.heads, 1e4, s.offset)}; },
         .reference =
             [s](const auto& t) {
               HostTensor y(t[0].shape);
               for (int64_t r = 0; r < s.batch * s.time; ++r)
                 for (int64_t j = 0; j < s.heads * s.n; ++j) {
                   const int64_t k = j % s.n, i = k % (s.n / 2);
                   const double angle =
                       double(s.offset + r % s.time) * std::pow(1e4, -2.0 * double(i) / double(s.n));
                   const double* x = t[0].row(r) + j;
                   y.row(r)[j] =
                       *x * std::cos(angle) + (k < s.n / 2 ? -x[s.n / 2] : x[-s.n / 2]) * std::sin(angle);
                 }
               return std::vector{y};
             },
         .reduction = 2});
}

}  // namespace engine
