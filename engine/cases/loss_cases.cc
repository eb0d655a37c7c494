// Rows of the op table for engine/ops/loss.h.
#include <cmath>

#include "engine/cases/case.h"
#include "engine/ops/loss.h"

namespace engine {
namespace {

/// Ids are drawn from [0, classes]; the last one stands for "not scored".
Tensor labels_of(const Tensor& ids, int64_t classes) {
  std::vector<int32_t> labels;
  for (double id : ids.to_vector()) labels.push_back(int64_t(id) == classes ? kNotScored : int32_t(id));
  return Tensor::from_ids(labels, ids.shape()).to(ids.device());
}

/// The loss of one row of logits in double.
double row_loss(const std::vector<double>& z, int64_t label) {
  double sum = 0;
  for (double value : z) sum += std::exp(value);
  return std::log(sum) - z[size_t(label)];
}

HostTensor scalar(double value) {
  HostTensor y{Shape{}};
  y.v = {value};
  return y;
}

void add_cross_entropy(std::vector<OpCase>& cases, const Shape& rows, int64_t classes) {
  Shape logits = rows;
  logits.append(classes);
  cases.push_back(
      {.op = "cross_entropy",
       .node = "cross_entropy",
       .detail = join_text(logits),
       .inputs = {{"logits", logits},
                  {.name = "labels", .shape = rows, .draw = Draw::ids, .limit = classes + 1}},
       .run = [classes](const auto& t) { return std::vector{cross_entropy(t[0], labels_of(t[1], classes))}; },
       .reference =
           [classes](const auto& t) {
             double sum = 0;
             for (size_t r = 0; r < t[1].v.size(); ++r) {
               const double* z = t[0].row(int64_t(r));
               if (int64_t(t[1].v[r]) < classes)
                 sum += row_loss(std::vector<double>(z, z + classes), int64_t(t[1].v[r]));
             }
             return std::vector{scalar(sum)};
           },
       .reduction = classes});
}

struct ProjectionCase {
  const char* what;
  int64_t rows, width, classes, vocabulary;
  bool bias = false;
  double softcap = 0;
};

// A label of `vocabulary` stands for a row that is not scored; a single row is scored.
void add_projection(std::vector<OpCase>& cases, const ProjectionCase& c) {
  OpCase op{
      .op = "linear_cross_entropy",
      .node = "linear_cross_entropy",
      .detail = join_text(c.what, " [", c.rows, ", ", c.width, "] to ", c.classes),
      .inputs =
          {{"x", {c.rows, c.width}},
           {"weight", {c.classes, c.width}},
           {.name = "labels", .shape = {c.rows}, .draw = Draw::ids, .limit = c.vocabulary + (c.rows > 1)}},
      .run =
          [c](const auto& t) {
            return std::vector{linear_cross_entropy(t[0], t[1], c.bias ? t[3] : Tensor(),
                                                    labels_of(t[2], c.vocabulary),
                                                    {.softcap = c.softcap, .vocabulary = c.vocabulary})};
          },
      .reference =
          [c](const auto& t) {
            double sum = 0;
            for (int64_t r = 0; r < c.rows; ++r) {
              if (int64_t(t[2].v[size_t(r)]) == c.vocabulary) continue;
              std::vector<double> z;
              for (int64_t j = 0; j < c.vocabulary; ++j) {
                double value = c.bias ? t[3].v[size_t(j)] : 0;
                for (int64_t i = 0; i < c.width; ++i) value += t[0].row(r)[i] * t[1].row(j)[i];
                z.push_back(c.softcap > 0 ? c.softcap * std::tanh(value / c.softcap) : value);
              }
              sum += row_loss(z, int64_t(t[2].v[size_t(r)]));
            }
            return std::vector{scalar(sum)};
          },
      .reduction = c.width + c.classes,
      .unit_upstream = true};
  if (c.rows == 1)
    op.low_precision_factor = 8, op.reason = "one number: the yardstick's own rounding is luck";
  if (c.bias) op.inputs.push_back({.name = "bias", .shape = {c.classes}, .parameter = true});
  cases.push_back(op);
}

}  // namespace

void add_loss_cases(std::vector<OpCase>& cases) {
  add_cross_entropy(cases, {2, 5}, 11);
  add_cross_entropy(cases, {1}, 2);
  add_cross_entropy(cases, {0}, 3);
  add_cross_entropy(cases, {3}, 1031);
  add_projection(cases, {"plain", 5, 7, 13, 13});
  add_projection(cases, {"size 1", 1, 1, 3, 3});
  add_projection(cases, {"no rows", 0, 3, 5, 5});
  add_projection(cases, {"padded, bias, softcap", 7, 5, 19, 17, true, 2.5});
  for (const Shape& shape : {Shape{3, 7}, Shape{1}, Shape{0, 2}}) {
    cases.push_back({.op = "squared_error",
                     .node = "squared_error",
                     .detail = join_text(shape),
                     .inputs = {{"x", shape}, {"target", shape}},
                     .run = [](const auto& t) { return std::vector{squared_error(t[0], t[1])}; },
                     .reference =
                         [](const auto& t) {
                           double sum = 0;
                           for (size_t i = 0; i < t[0].v.size(); ++i)
                             sum += (t[0].v[i] - t[1].v[i]) * (t[0].v[i] - t[1].v[i]);
                           return std::vector{scalar(sum)};
                         },
                     .reduction = shape.numel()});
  }
}

}  // namespace engine
