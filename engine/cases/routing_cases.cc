// Rows of the op table for engine/ops/routing.h and grouped_linear.h.
#include <algorithm>

#include "engine/cases/case.h"
#include "engine/ops/grouped_linear.h"
#include "engine/ops/routing.h"

namespace engine {
namespace {

void add_route(std::vector<OpCase>& cases, int64_t n, int64_t experts, int64_t k, bool normalize) {
  cases.push_back(
      {.op = "route_top_k",
       .node = "route_top_k",
       .detail = join_text("[", n, ", ", experts, "] top ", k, normalize ? " normalised" : ""),
       .inputs = {{.name = "p", .shape = {n, experts}, .draw = Draw::positive, .parameter = true}},
       .run = [=](const auto& t) { return std::vector{route_top_k(t[0], k, normalize).weights}; },
       .reference =
           [=](const auto& t) {
             // Slots ordered by expert, then token: expert e takes token r when fewer than k others beat it.
             HostTensor w({n * k});
             size_t slot = 0;
             for (int64_t e = 0; e < experts; ++e) {
               for (int64_t r = 0; r < n; ++r) {
                 const double* p = t[0].row(r);
                 int64_t better = 0;
                 for (int64_t o = 0; o < experts; ++o) better += p[o] > p[e] || (p[o] == p[e] && o < e);
                 if (better >= k) continue;
                 std::vector<double> sorted(p, p + experts);
                 std::sort(sorted.rbegin(), sorted.rend());
                 double sum = 0;
                 for (int64_t j = 0; j < k; ++j) sum += sorted[size_t(j)];
                 w.v[slot++] = p[e] / (normalize ? sum : 1);
               }
             }
             return std::vector{w};
           },
       .dtypes = {DType::f64, DType::f32}});
}

}  // namespace

void add_routing_cases(std::vector<OpCase>& cases) {
  add_route(cases, 7, 5, 2, false);
  add_route(cases, 7, 5, 3, true);
  add_route(cases, 1, 2, 1, false);
  add_route(cases, 0, 4, 2, false);
  struct Sizes {
    int64_t n, m, width;
  };
  for (const auto& s : {Sizes{5, 11, 7}, Sizes{1, 1, 1}, Sizes{3, 0, 4}, Sizes{4, 13, 600}}) {
    cases.push_back(
        {.op = "gather_rows",
         .node = "gather_rows",
         .detail = join_text(s.m, " of [", s.n, ", ", s.width, "]"),
         .inputs = {{"x", {s.n, s.width}}, {.name = "rows", .shape = {s.m}, .draw = Draw::ids, .limit = s.n}},
         .run = [](const auto& t) { return std::vector{gather_rows(t[0], t[1])}; },
         .reference =
             [s](const auto& t) {
               HostTensor y({s.m, s.width});
               for (int64_t i = 0; i < s.m; ++i)
                 std::copy_n(t[0].row(int64_t(t[1].v[size_t(i)])), s.width, y.row(i));
               return std::vector{y};
             },
         .reduction = s.m + 1});
    cases.push_back({.op = "scatter_rows",
                     .node = "scatter_rows",
                     .detail = join_text("[", s.m, ", ", s.width, "] to ", s.n),
                     .inputs = {{"x", {s.m, s.width}},
                                {.name = "rows", .shape = {s.m}, .draw = Draw::ids, .limit = s.n},
                                {.name = "weights", .shape = {s.m}, .parameter = true}},
                     .run = [s](const auto& t) { return std::vector{scatter_rows(t[0], t[1], t[2], s.n)}; },
                     .reference =
                         [s](const auto& t) {
                           HostTensor y({s.n, s.width});
                           for (int64_t i = 0; i < s.m; ++i)
                             for (int64_t j = 0; j < s.width; ++j)
                               y.row(int64_t(t[1].v[size_t(i)]))[j] += t[2].v[size_t(i)] * t[0].row(i)[j];
                           return std::vector{y};
                         },
                     .reduction = s.m + s.width});
  }
  // Four groups, the second empty; one row; no row at all.
  for (const std::vector<int64_t>& offsets :
       {std::vector<int64_t>{0, 3, 3, 8, 9}, std::vector<int64_t>{0, 0, 1}, std::vector<int64_t>{0, 0}}) {
    const int64_t rows = offsets.back(), groups = int64_t(offsets.size()) - 1;
    cases.push_back(
        {.op = "grouped_linear",
         .node = "grouped_linear",
         .detail = join_text("[", rows, ", 5] by ", groups, " x [7, 5]"),
         .inputs = {{"x", {rows, 5}}, {"weight", {groups, 7, 5}}},
         .run = [offsets](const auto& t) { return std::vector{grouped_linear(t[0], t[1], groups_of(offsets))}; },
         .reference =
             [offsets, rows](const auto& t) {
               HostTensor y({rows, 7});
               for (size_t e = 0; e + 1 < offsets.size(); ++e)
                 for (int64_t i = offsets[e]; i < offsets[e + 1]; ++i)
                   for (int64_t o = 0; o < 7; ++o)
                     for (int64_t j = 0; j < 5; ++j)
                       y.row(i)[o] += t[0].row(i)[j] * t[1].v[e * 35 + size_t(o * 5 + j)];
               return std::vector{y};
             },
         .reduction = 7});
  }
}

}  // namespace engine
