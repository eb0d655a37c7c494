// One row per op and shape: what the tests, `normlab gradcheck` and `normlab bench ops` run.
//
// A row gives the inputs, the op, and a reference that computes the same from the formula in plain double
// loops on host arrays (it shares no code with the kernels). The checks of checks.h are driven by the row
// alone.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/autograd/gradcheck.h"
#include "engine/ops/activation_kind.h"

namespace engine {

/// A tensor as the references see it: row-major doubles (ids too).
struct HostTensor {
  Shape shape;
  std::vector<double> v;

  HostTensor() = default;
  explicit HostTensor(const Shape& s) : shape(s), v(size_t(s.numel())) {}
  int64_t size(int axis) const { return shape.at(axis); }
  int64_t rows() const { return shape.rank() ? (shape.back() ? shape.numel() / shape.back() : 0) : 1; }
  double* row(int64_t r) { return v.data() + r * shape.back(); }
  const double* row(int64_t r) const { return v.data() + r * shape.back(); }
};

enum class Draw {
  normal,    // N(0, 1)
  positive,  // uniform in [0.5, 1.5)
  away,      // uniform in +-[0.1, 2): no kink at zero within reach of a difference
  ids,       // integers in [0, limit), i32
  mask,      // 0 or 1, u8, the first of each row always 1
};

struct CaseInput {
  std::string name;
  Shape shape;
  Draw draw = Draw::normal;
  int64_t limit = 0;       // of ids
  bool parameter = false;  // gains, biases: stay in the compute dtype when the case runs in bf16 or f16
  bool differentiable = true;
};

using HostFunction = std::function<std::vector<HostTensor>(const std::vector<HostTensor>&)>;

struct OpCase {
  std::string op;      // the API function: "head_scale"
  std::string node;    // kName of the node whose backward this row must catch when it is scaled
  std::string detail;  // shape or variant: "[7, 3x8]"
  std::vector<CaseInput> inputs;
  TensorFunction run;
  HostFunction reference;
  int64_t reduction = 1;            // longest sum inside the op: allows sqrt(n) 2^-24 in f32
  double f64_tolerance = 1e-12;     // relative error of the f64 value against the reference
  double low_precision_factor = 4;  // times the error of rounding alone; more needs a reason
  bool unit_upstream = false;       // the op accepts no upstream gradient but 1
  std::string reason;               // why a tolerance is not the default
  std::vector<DType> dtypes = {DType::f64, DType::f32, DType::bf16, DType::f16};

  std::string name() const { return op + " " + detail; }
};

/// Every row of every family.
const std::vector<OpCase>& all_cases();

/// The inputs of a row, drawn from its name: floats in `dtype` (parameters in its compute dtype), ids i32,
/// masks u8.
std::vector<Tensor> draw_inputs(const OpCase& c, DType dtype);

HostTensor to_host(const Tensor& t);

/// act(x) in double, by its formula.
double activation_value(Activation activation, double x);

// The families, one file each.
void add_view_cases(std::vector<OpCase>& cases);
void add_head_scale_cases(std::vector<OpCase>& cases);
void add_norm_cases(std::vector<OpCase>& cases);
void add_attention_cases(std::vector<OpCase>& cases);
void add_linear_cases(std::vector<OpCase>& cases);
void add_few_rows_cases(std::vector<OpCase>& cases);
void add_activation_cases(std::vector<OpCase>& cases);
void add_elementwise_cases(std::vector<OpCase>& cases);
void add_reduce_cases(std::vector<OpCase>& cases);
void add_embedding_cases(std::vector<OpCase>& cases);
void add_rope_cases(std::vector<OpCase>& cases);
void add_softmax_cases(std::vector<OpCase>& cases);
void add_loss_cases(std::vector<OpCase>& cases);
void add_routing_cases(std::vector<OpCase>& cases);

}  // namespace engine
