// Read first: linear.h, linear_kernels.h, engine/kernel/gemm.h.
#include "engine/ops/linear.h"

#include "engine/ops/activation_kernels.h"
#include "engine/ops/linear_kernels.h"
#include "engine/ops/products.h"
#include "engine/ops/view.h"

namespace engine {
namespace {

/// act(x), contiguous; x itself for the identity.
Tensor activated(const Tensor& x, Activation activation) {
  if (activation == Activation::identity) return x;
  Tensor h = x.like(x.shape(), x.dtype());
  const int64_t n = x.size(-1);
  if (x.numel() > 0)
    kernel::activate_forward(x.device(),
                             {x.raw(), h.raw(), x.numel() / n, n, x.row_stride(), x.dtype(), activation});
  return h;
}

//   h = input_act(x)  z = h W^T + b   y = act(z) + residual
//   g = dy act'(z)    dx = g W input_act'(x)   dW = g^T h   db = sum over rows of g   dresidual = dy
// g has the weight's dtype: a product of 16-bit numbers is a product of two of them. Only where the product
// is small does the gradient of an f32 stream above 16-bit weights stay as it is.
struct LinearNode : NodeOf<LinearNode> {
  static constexpr const char* kName = "linear";
  Saved x, weight, pre;  // pre: z, kept when there is an activation
  Activation input_activation = Activation::identity, activation = Activation::identity;
  auto saved() { return std::tie(x, weight, pre); }

  void backward(Backward& b) override {
    const Tensor& w = weight.get();
    const Tensor dy = b.dy();
    const int64_t n = w.size(0), k = w.size(1), m = dy.shape().leading().numel();
    Tensor g = dy;
    const bool wide = is_wide(dy.device(), m * n * k), narrower = dy.dtype() != w.dtype() && !wide;
    if (pre.defined() || narrower || b.wants(2)) {
      LinearGradient a{.dy = dy.raw(), .m = m, .n = n, .dtype = dy.dtype(), .activation = activation};
      Tensor partials;
      if (pre.defined()) a.pre = pre.get().raw();
      if (pre.defined() || narrower) {
        g = dy.like(dy.shape(), w.dtype());
        a.g = g.raw(), a.g_dtype = g.dtype();
      }
      if (b.wants(2)) {
        const Into db = b.into(2);
        partials = dy.like({linear_gradient_scratch(dy.device(), a)}, compute_dtype(dy.dtype()));
        a.db = db.buffer.raw(), a.db_dtype = db.buffer.dtype(), a.accumulate_db = db.accumulate;
        a.partials = partials.raw();
      }
      kernel::linear_gradient(dy.device(), a);
    }
    Tensor h = x.get();
    if (b.wants(0)) {
      const Into dx = b.into_rows(0);
      if (input_activation != Activation::identity) {
        if (b.wants(1)) h = x.get().like(x.get().shape(), x.get().dtype());
        kernel::linear_input_gradient(dy.device(), {.g = matrix_of(g),
                                                    .weight = matrix_of(w),
                                                    .x = x.get().raw(),
                                                    .dx = dx.buffer.raw(),
                                                    .h = b.wants(1) ? h.raw() : nullptr,
                                                    .m = m,
                                                    .n = n,
                                                    .k = k,
                                                    .x_stride = x.get().row_stride(),
                                                    .dx_stride = dx.buffer.row_stride(),
                                                    .dtype = dx.buffer.dtype(),
                                                    .activation = input_activation,
                                                    .accumulate = dx.accumulate,
                                                    .wide = wide});
      } else {
        run_product(dy.device(), {.a = matrix_of(g),
                                  .b = matrix_of(w),
                                  .m = m,
                                  .n = k,
                                  .k = n,
                                  .c = dx.buffer.raw(),
                                  .c_stride = dx.buffer.row_stride(),
                                  .c_dtype = dx.buffer.dtype(),
                                  .accumulate = dx.accumulate});
      }
    }
    if (b.wants(1)) {
      const Into dw = b.into(1);
      if (!b.wants(0)) h = activated(h, input_activation);
      run_product(dy.device(), {.a = matrix_of(g, true),
                                .b = matrix_of(h),
                                .m = n,
                                .n = k,
                                .k = m,
                                .c = dw.buffer.raw(),
                                .c_stride = k,
                                .c_dtype = dw.buffer.dtype(),
                                .accumulate = dw.accumulate});
    }
    b.pass(3, dy);
  }
};

}  // namespace

bool keeps_wide(Device device, int64_t elements) { return is_wide_row_op(device, elements); }

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias, const LinearOptions& options) {
  check(is_float(x.dtype()), "linear: needs a floating input, got ", x.dtype());
  check(x.rank() >= 1 && weight.rank() == 2, "linear: needs input [..., in] and weight [out, in], got ",
        x.shape(), " and ", weight.shape());
  check(x.size(-1) == weight.size(1), "linear: weight ", weight.shape(), " needs input last dim ",
        weight.size(1), ", got ", x.shape());
  check(weight.dtype() == x.dtype(), "linear: weight of a ", x.dtype(), " input must be ", x.dtype(),
        ", got ", weight.dtype());
  const int64_t m = x.shape().leading().numel(), n = weight.size(0), k = weight.size(1);
  if (bias.defined()) {
    check(bias.rank() == 1 && bias.numel() == n, "linear: weight ", weight.shape(), " needs bias [", n,
          "], got ", bias.shape());
    check(bias.dtype() == compute_dtype(x.dtype()), "linear: bias of a ", x.dtype(), " input must be ",
          compute_dtype(x.dtype()), ", got ", bias.dtype());
  }
  const DType dtype = options.dtype == DType::u8 ? x.dtype() : options.dtype;
  check(is_float(dtype) && compute_dtype(dtype) == compute_dtype(x.dtype()), "linear: ", x.dtype(),
        " input cannot give ", dtype, " output");
  Shape shape = x.shape();
  shape[shape.rank() - 1] = n;
  if (options.residual.defined())
    check(options.residual.shape() == shape && options.residual.dtype() == dtype,
          "linear: residual must be the output's ", dtype, " ", shape, ", got ", options.residual.dtype(),
          " ", options.residual.shape());

  const Tensor in = with_uniform_rows(x), h = activated(in, options.input_activation);
  const Tensor w = with_uniform_rows(weight);
  const Tensor b = bias.defined() ? contiguous(bias) : Tensor();
  const Tensor residual = options.residual.defined() ? contiguous(options.residual) : Tensor();
  Tensor y = x.like(shape, dtype);
  Tape* tape = recording({&in, &w, &b, &residual});
  Tensor pre;
  if (tape && options.activation != Activation::identity) pre = x.like(shape, dtype);
  kernel::linear_forward(y.device(), {.x = matrix_of(h),
                                      .weight = matrix_of(w),
                                      .bias = b.defined() ? b.raw() : nullptr,
                                      .residual = residual.defined() ? residual.raw() : nullptr,
                                      .pre = pre.defined() ? pre.raw() : nullptr,
                                      .y = y.raw(),
                                      .m = m,
                                      .n = n,
                                      .k = k,
                                      .dtype = dtype,
                                      .activation = options.activation,
                                      .wide = is_wide(y.device(), m * n * k)});
  if (tape) {
    auto& node = tape->record<LinearNode>({&in, &w, &b, &residual}, {&y});
    node.x = in, node.weight = w, node.activation = options.activation;
    node.input_activation = options.input_activation;
    if (pre.defined()) node.pre = pre;
  }
  return y;
}

}  // namespace engine
