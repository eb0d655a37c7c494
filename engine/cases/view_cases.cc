// Rows of the op table for engine/ops/view.h.
#include "engine/cases/case.h"
#include "engine/ops/view.h"

namespace engine {

void add_view_cases(std::vector<OpCase>& cases) {
  for (const Shape& shape : {Shape{5, 7}, Shape{1, 1}, Shape{0, 3}}) {
    cases.push_back({.op = "reshape",
                     .node = "reshape",
                     .detail = join_text(shape),
                     .inputs = {{"x", shape}},
                     .run =
                         [shape](const auto& t) {
                           return std::vector{reshape(contiguous(t[0]), {shape[1], shape[0]})};
                         },
                     .reference =
                         [shape](const auto& t) {
                           HostTensor y({shape[1], shape[0]});
                           y.v = t[0].v;
                           return std::vector{y};
                         }});
    cases.push_back({.op = "transpose",
                     .node = "transpose",
                     .detail = join_text(shape),
                     .inputs = {{"x", shape}},
                     .run = [](const auto& t) { return std::vector{transpose(t[0], 0, 1)}; },
                     .reference =
                         [shape](const auto& t) {
                           HostTensor y({shape[1], shape[0]});
                           for (int64_t i = 0; i < shape[0]; ++i)
                             for (int64_t j = 0; j < shape[1]; ++j) y.row(j)[i] = t[0].row(i)[j];
                           return std::vector{y};
                         }});
  }
  for (const int64_t rows : {3, 1, 0}) {
    // Unequal parts, and only the middle one used: the others' gradients are zero.
    cases.push_back({.op = "split",
                     .node = "split",
                     .detail = join_text("[", rows, ", 2+5+4], second part only"),
                     .inputs = {{"x", {rows, 11}}},
                     .run =
                         [](const auto& t) {
                           return std::vector{contiguous(split(t[0], -1, {2, 5, 4})[1])};
                         },
                     .reference =
                         [rows](const auto& t) {
                           HostTensor y({rows, 5});
                           for (int64_t r = 0; r < rows; ++r)
                             for (int64_t i = 0; i < 5; ++i) y.row(r)[i] = t[0].row(r)[i + 2];
                           return std::vector{y};
                         }});
    cases.push_back({.op = "slice",
                     .node = "split",
                     .detail = join_text("rows 1 to 3 of [5, ", rows, "]"),
                     .inputs = {{"x", {5, rows}}},
                     .run = [](const auto& t) { return std::vector{contiguous(slice(t[0], 0, 1, 3))}; },
                     .reference =
                         [rows](const auto& t) {
                           HostTensor y({2, rows});
                           y.v.assign(t[0].v.begin() + rows, t[0].v.begin() + 3 * rows);
                           return std::vector{y};
                         }});
    cases.push_back(
        {.op = "concat",
         .node = "concat",
         .detail = join_text("[", rows, ", 3] [", rows, ", 5] [", rows, ", 1] along the last axis"),
         .inputs = {{"a", {rows, 3}}, {"b", {rows, 5}}, {"c", {rows, 1}}},
         .run =
             [](const auto& t) {
               return std::vector{concat({t[0], t[1], t[2]}, -1)};
             },
         .reference =
             [rows](const auto& t) {
               HostTensor y({rows, 9});
               for (int64_t r = 0; r < rows; ++r) {
                 int64_t column = 0;
                 for (const HostTensor& part : t)
                   for (int64_t i = 0; i < part.size(1); ++i) y.row(r)[column++] = part.row(r)[i];
               }
               return std::vector{y};
             }});
  }
}

}  // namespace engine
