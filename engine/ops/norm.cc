// Read first: norm.h, engine/autograd/tape.h. Formulas of the gradients stand in norm_block.h beside the
// loops.
#include "engine/ops/norm.h"

#include <cmath>

#include "engine/kernel/wide.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/view.h"

namespace engine {
namespace {

constexpr int64_t chunks_of(int64_t rows) { return (rows + kNormRows - 1) / kNormRows; }

Tensor contiguous_if_defined(const Tensor& x) { return x.defined() ? contiguous(x) : x; }

// ------------------------------------------------------------------------------------------------- gradients

// Partial sums of parameter gradients: one buffer of a row per chunk, a section per parameter. First every
// wanted section is claimed, then the kernel fills them, then each is added up and handed over.
class Partials {
 public:
  Partials(Backward& b, int64_t rows, DType dtype) : b_(b), chunks_(chunks_of(rows)), dtype_(dtype) {}
  /// A section of n sums for the gradient of `input`, when somebody wants it.
  void claim(int input, int64_t n) {
    if (!b_.wants(input)) return;
    sections_[count_++] = {input, width_, n};
    width_ += n;
  }
  /// On the device of `like`.
  void allocate(const Tensor& like) {
    if (width_ > 0) buffer_ = like.like({chunks_, width_}, dtype_);
  }
  int64_t stride() const { return width_; }
  /// Where chunk 0 of that section lies; null when it was not claimed.
  void* at(int input) const {
    for (int i = 0; i < count_; ++i)
      if (sections_[i].input == input)
        return static_cast<char*>(buffer_.raw()) + sections_[i].begin * size_of(dtype_);
    return nullptr;
  }
  void hand_over() const {
    for (int i = 0; i < count_; ++i) {
      const Into d = b_.into(sections_[i].input);
      kernel::sum_partials(d.buffer.device(), {.partials = at(sections_[i].input),
                                               .sum = d.buffer.raw(),
                                               .chunks = chunks_,
                                               .n = sections_[i].n,
                                               .stride = width_,
                                               .partial_dtype = dtype_,
                                               .dtype = d.buffer.dtype(),
                                               .accumulate = d.accumulate});
    }
  }

 private:
  struct Section {
    int input;
    int64_t begin, n;
  };
  Backward& b_;
  int64_t chunks_, width_ = 0;
  DType dtype_;
  Section sections_[5];
  int count_ = 0;
  Tensor buffer_;
};

// What backward needs of a norm; `kernel` holds its settings and sizes.
struct SavedNorm {
  Saved x, weight, alpha, mean, rstd;
  Saved cos, sin;  // where it turns
  NormBackward kernel{};

  // The inputs weight, bias, alpha of the node are numbered from `first` on.
  void claim(Partials& partials, int first) const {
    partials.claim(first, kernel.n);
    partials.claim(first + 1, kernel.n);
    partials.claim(first + 2, 1);
  }
  NormBackward arguments(const Tensor& dy, const Partials& partials, int first) const {
    NormBackward a = kernel;
    const auto raw = [](const Saved& s) { return s.defined() ? s.get().raw() : nullptr; };
    a.x = raw(x), a.dy = dy.raw(), a.weight = raw(weight), a.alpha = raw(alpha), a.mean = raw(mean),
    a.rstd = raw(rstd), a.turn.cos = raw(cos), a.turn.sin = raw(sin);
    a.dweight = partials.at(first), a.dbias = partials.at(first + 1), a.dalpha = partials.at(first + 2);
    a.partial_stride = partials.stride();
    return a;
  }
};

struct SavedJoin {
  Saved stream, o, res, branch;  // stream and o only for the gradients of learned factors
  JoinBackward kernel{};
  bool shared_gradient = false;  // dstream and do are the same values: one tensor serves both

  void claim(Partials& partials, int first) const {
    partials.claim(first, kernel.res.vector ? kernel.width : 1);
    partials.claim(first + 1, kernel.branch.vector ? kernel.width : 1);
  }
  JoinBackward arguments(const Partials& partials, int first) const {
    JoinBackward a = kernel;
    const auto raw = [](const Saved& s) { return s.defined() ? s.get().raw() : nullptr; };
    a.stream = raw(stream), a.o = raw(o), a.res.learned = raw(res), a.branch.learned = raw(branch);
    a.dres = partials.at(first), a.dbranch = partials.at(first + 1);
    a.partial_stride = partials.stride();
    return a;
  }
};

// Runs `kernel`, which reads a.dstream, a.d_o, with the gradients of inputs 0 and 1.
template <class Kernel>
void backward_into_inputs(Backward& b, const SavedJoin& join, const Shape& shape, JoinBackward& a,
                          Kernel kernel) {
  if (join.shared_gradient) {
    const Tensor d = b.dy(b.has(0) ? 0 : 1).like(shape, a.stream_dtype);
    a.dstream = d.raw(), a.dstream_stride = a.width;
    kernel();
    b.pass(0, d);
    b.pass(1, d);
    return;
  }
  Into dstream, d_o;
  if (b.wants(0)) {
    dstream = b.into_rows(0);
    a.dstream = dstream.buffer.raw(), a.dstream_stride = dstream.buffer.row_stride();
    a.accumulate_dstream = dstream.accumulate;
  }
  if (b.wants(1)) {
    d_o = b.into_rows(1);
    a.d_o = d_o.buffer.raw(), a.do_stride = d_o.buffer.row_stride();
    a.accumulate_do = d_o.accumulate;
  }
  kernel();
}

struct NormNode : NodeOf<NormNode> {
  static constexpr const char* kName = "norm";
  SavedNorm norm;
  auto saved() { return std::tie(norm.x, norm.weight, norm.alpha, norm.mean, norm.rstd, norm.cos, norm.sin); }

  void backward(Backward& b) override {
    Partials partials(b, norm.kernel.rows, norm.weight.get().dtype());
    norm.claim(partials, 1);
    partials.allocate(norm.weight.get());
    NormBackward a = norm.arguments(b.dy(), partials, 1);
    Into dx;
    if (b.wants(0)) {
      dx = b.into_rows(0);
      a.dx = dx.buffer.raw(), a.dx_stride = dx.buffer.row_stride(), a.accumulate_dx = dx.accumulate;
    }
    if (a.rows > 0) kernel::norm_backward(b.dy().device(), a);
    partials.hand_over();
  }
};

struct ResidualAddNode : NodeOf<ResidualAddNode> {
  static constexpr const char* kName = "residual_add";
  SavedJoin join;
  Shape shape;
  auto saved() { return std::tie(join.stream, join.o, join.res, join.branch); }

  void backward(Backward& b) override {
    if (join.shared_gradient) {
      b.pass(0, b.dy());
      b.pass(1, b.dy());
      return;
    }
    Partials partials(b, join.kernel.rows, compute_dtype(join.kernel.stream_dtype));
    join.claim(partials, 2);
    partials.allocate(b.dy());
    JoinBackward a = join.arguments(partials, 2);
    a.djoined = b.dy().raw();
    backward_into_inputs(b, join, shape, a, [&] {
      if (a.rows > 0) kernel::join_backward(b.dy().device(), a);
    });
    partials.hand_over();
  }
};

// The norm's x is `joined`, so its dx is added to the gradient of joined, in cache, before that goes on.
struct ResidualAddNormNode : NodeOf<ResidualAddNormNode> {
  static constexpr const char* kName = "residual_add_norm";
  SavedJoin join;
  SavedNorm norm;
  Shape shape;
  auto saved() {
    return std::tie(join.stream, join.o, join.res, join.branch, norm.x, norm.weight, norm.alpha, norm.mean,
                    norm.rstd);
  }

  void backward(Backward& b) override {
    const bool joined = b.has(0), normed = b.has(1);
    const Device device = norm.weight.get().device();
    Partials partials(b, join.kernel.rows, norm.weight.get().dtype());
    join.claim(partials, 2);
    if (normed) norm.claim(partials, 4);
    partials.allocate(norm.weight.get());
    JoinNormBackward a{.join = join.arguments(partials, 2)};
    if (joined) a.join.djoined = b.dy(0).raw();
    if (normed) a.norm = norm.arguments(b.dy(1), partials, 4);
    backward_into_inputs(b, join, shape, a.join, [&] {
      if (a.join.rows == 0) return;
      normed ? kernel::join_norm_backward(device, a) : kernel::join_backward(device, a.join);
    });
    partials.hand_over();
  }
};

// ------------------------------------------------------------------------------------------------- checks

bool pair_of_dtypes(DType wide, DType low) {
  return wide == low || (wide == DType::f32 && (low == DType::bf16 || low == DType::f16));
}

const char* name_of(NormKind kind) { return norm_kind_names[size_t(kind)]; }

void check_norm(const char* op, const Tensor& x, const NormArguments& n, DType dtype) {
  check(is_float(x.dtype()), op, ": needs a floating input, got ", x.dtype());
  check(x.rank() >= 1 && x.size(-1) > 0, op, ": needs input [..., channels] with channels > 0, got ",
        x.shape());
  check(n.kind != NormKind::none, op, ": kind none has no norm to apply");
  check(pair_of_dtypes(x.dtype(), dtype) || pair_of_dtypes(dtype, x.dtype()), op, ": cannot go from ",
        x.dtype(), " to ", dtype, "; the dtypes are equal or one is f32 and the other bf16 or f16");
  check(n.groups > 0 && x.size(-1) % n.groups == 0, op, ": ", n.groups, " groups do not divide last dim of ",
        x.shape());
  const Shape expected{x.size(-1) / n.groups};
  const DType compute = compute_dtype(x.dtype());
  const auto check_parameter = [&](const char* name, const Tensor& t, const Shape& shape) {
    check(t.shape() == shape && t.dtype() == compute, op, ": ", name, " of input ", x.shape(), " ", x.dtype(),
          " in ", n.groups, " groups must be ", shape, " ", compute, ", got ", t.shape(), " ", t.dtype());
  };
  check(n.weight.defined(), op, ": needs a weight");
  check_parameter("weight", n.weight, expected);
  if (n.bias.defined()) check_parameter("bias", n.bias, expected);
  check(n.alpha.defined() == (n.kind == NormKind::dyt), op, ": kind ", name_of(n.kind),
        n.alpha.defined() ? " has no alpha" : " needs alpha");
  if (n.alpha.defined())
    check(n.alpha.numel() == 1 && n.alpha.dtype() == compute, op, ": alpha must be one ", compute, ", got ",
          n.alpha.shape(), " ", n.alpha.dtype());
  check(std::isfinite(n.eps) && n.eps >= 0, op, ": eps must be finite and at least 0, got ", n.eps);
  check(std::isfinite(n.gain_offset), op, ": gain_offset must be finite, got ", n.gain_offset);
}

void check_join(const char* op, const Tensor& stream, const Tensor& o, const ResidualJoin& join) {
  check(is_float(stream.dtype()) && stream.rank() >= 1 && stream.shape() == o.shape() && stream.size(-1) > 0,
        op, ": needs a floating stream and a branch of one shape [..., channels], got ", stream.shape(), " ",
        stream.dtype(), " and ", o.shape(), " ", o.dtype());
  check(pair_of_dtypes(stream.dtype(), o.dtype()), op, ": a ", stream.dtype(), " stream cannot take a ",
        o.dtype(), " branch; the dtypes are equal or f32 and bf16 or f16");
  const DType compute = compute_dtype(stream.dtype());
  const auto check_factor = [&](const char* name, const ResidualScale& scale) {
    check(std::isfinite(scale.constant), op, ": ", name, " must be finite, got ", scale.constant);
    const Tensor& t = scale.learned;
    if (!t.defined()) return;
    check((t.rank() == 0 || (t.rank() == 1 && t.size(0) == stream.size(-1))) && t.dtype() == compute, op,
          ": learned ", name, " of a stream ", stream.shape(), " ", stream.dtype(), " must be [] or [",
          stream.size(-1), "] ", compute, ", got ", t.shape(), " ", t.dtype());
  };
  check_factor("res", join.res);
  check_factor("branch", join.branch);
  check(join.dropout >= 0 && join.dropout < 1, op, ": dropout must lie in [0, 1), got ", join.dropout);
  check(join.dropout == 0 || join.rng, op, ": dropout ", join.dropout, " needs a random stream");
}

// ------------------------------------------------------------------------------------------------- forward

// The norm's inputs as the kernels want them, its outputs, and the kernel's arguments.
struct NormCall {
  Tensor weight, bias, alpha, mean, rstd, y;
  RopeTable table;  // where it turns
  NormForward forward;

  NormCall(const Tensor& x, const NormArguments& n, DType dtype, const RopeTable& turns = {},
           int64_t heads = 1, DType turned = DType::f32)
      : weight(contiguous(n.weight)),
        bias(contiguous_if_defined(n.bias)),
        alpha(contiguous_if_defined(n.alpha)),
        y(x.like(x.shape(), turns.cos.defined() ? turned : dtype)),
        table(turns) {
    const int64_t rows = x.numel() / x.size(-1);
    if (Tape::current() && n.kind != NormKind::dyt) {
      const DType statistics = norm_statistics(x.dtype(), dtype);
      rstd = x.like({rows * n.groups}, statistics);
      if (n.kind == NormKind::ln) mean = x.like({rows * n.groups}, statistics);
    }
    const auto raw = [](const Tensor& t) { return t.defined() ? t.raw() : nullptr; };
    forward = {
        .x = x.raw(),
        .y = y.raw(),
        .weight = weight.raw(),
        .bias = raw(bias),
        .alpha = raw(alpha),
        .mean = raw(mean),
        .rstd = raw(rstd),
        .rows = rows,
        .groups = n.groups,
        .n = x.size(-1) / n.groups,
        .x_stride = x.row_stride(),
        .x_dtype = x.dtype(),
        .y_dtype = dtype,
        .kind = n.kind,
        .activation = n.activation,
        .eps = n.eps,
        .gain_offset = n.gain_offset,
        .wide = is_wide_row_op(x.device(), x.numel()),
        .turn = {raw(table.cos), raw(table.sin), x.rank() == 3 ? x.size(1) : 1, x.size(-1) / heads, turned}};
  }
  void save(SavedNorm& s, const Tensor& x) const {
    s.x = x, s.weight = weight, s.mean = mean, s.rstd = rstd, s.alpha = alpha, s.cos = table.cos,
    s.sin = table.sin;
    s.kernel = {.rows = forward.rows,
                .groups = forward.groups,
                .n = forward.n,
                .x_stride = forward.x_stride,
                .x_dtype = forward.x_dtype,
                .y_dtype = forward.y_dtype,
                .kind = forward.kind,
                .activation = forward.activation,
                .gain_offset = forward.gain_offset,
                .turn = forward.turn};
  }
};

struct JoinCall {
  Tensor stream, o, res, branch, joined;
  JoinForward forward;

  JoinCall(const Tensor& s, const Tensor& b, const ResidualJoin& join)
      : stream(with_uniform_rows(s)),
        o(with_uniform_rows(b)),
        res(contiguous_if_defined(join.res.learned)),
        branch(contiguous_if_defined(join.branch.learned)),
        joined(s.like(s.shape(), s.dtype())) {
    // The kernels write both gradients in one pass, so the two inputs must not be one slot of the tape.
    if (stream.slot.index >= 0 && stream.slot.index == o.slot.index && stream.slot.tape == o.slot.tape)
      o = reshape(contiguous(o), o.shape());
    const auto factor = [](const ResidualScale& scale, const Tensor& t) {
      return JoinFactor{.learned = t.defined() ? t.raw() : nullptr,
                        .vector = t.defined() && t.rank() == 1,
                        .value = scale.constant};
    };
    forward = {.stream = stream.raw(),
               .o = o.raw(),
               .joined = joined.raw(),
               .rows = s.numel() / s.size(-1),
               .width = s.size(-1),
               .stream_stride = stream.row_stride(),
               .o_stride = o.row_stride(),
               .stream_dtype = s.dtype(),
               .o_dtype = b.dtype(),
               .res = factor(join.res, res),
               .branch = factor(join.branch, branch),
               .dropout = {.p = join.dropout, .seed = 0, .offset = 0, .seed_memory = nullptr}};
    if (join.dropout > 0)
      forward.dropout.seed = join.rng->seed, forward.dropout.seed_memory = join.rng->seed_memory,
      forward.dropout.offset = join.rng->reserve(dropout_blocks(s.numel()));
  }
  void save(SavedJoin& s) const {
    if (res.defined()) s.stream = stream, s.res = res;
    if (branch.defined()) s.o = o, s.branch = branch;
    s.kernel = {.rows = forward.rows,
                .width = forward.width,
                .stream_stride = forward.stream_stride,
                .o_stride = forward.o_stride,
                .stream_dtype = forward.stream_dtype,
                .o_dtype = forward.o_dtype,
                .res = forward.res,
                .branch = forward.branch,
                .dropout = forward.dropout};
    const auto is_one = [](const JoinFactor& f) { return !f.learned && f.value == 1; };
    s.shared_gradient = is_one(forward.res) && is_one(forward.branch) && forward.dropout.p == 0 &&
                        forward.stream_dtype == forward.o_dtype;
  }
};

}  // namespace

Tensor norm(const Tensor& x, const NormArguments& arguments, DType dtype) {
  check_norm("norm", x, arguments, dtype);
  const Tensor in = with_uniform_rows(x);
  NormCall call(in, arguments, dtype);
  if (call.forward.rows > 0) kernel::norm_forward(in.device(), call.forward);
  if (Tape* tape = recording({&in, &call.weight, &call.bias, &call.alpha}))
    call.save(tape->record<NormNode>({&in, &call.weight, &call.bias, &call.alpha}, {&call.y}).norm, in);
  return call.y;
}

Tensor norm_rope(const Tensor& x, const NormArguments& arguments, int64_t heads, const RopeAngles& angles,
                 int64_t offset, DType dtype) {
  const DType wide = compute_dtype(x.dtype());
  if (x.device() == Device::cpu || arguments.activation != Activation::identity)
    return cast(rope(norm(x, arguments, wide), heads, angles, offset), dtype);
  check_norm("norm_rope", x, arguments, wide);
  check(x.rank() == 3 && heads > 0 && x.size(-1) % (2 * heads) == 0, "norm_rope: needs [B, T, ", heads,
        " heads of even size], got ", x.shape());
  check(pair_of_dtypes(wide, dtype), "norm_rope: cannot go from ", wide, " to ", dtype);
  const Tensor in = with_uniform_rows(x);
  const RopeTable table = rope_table(x.size(-1) / heads, offset, x.size(1), angles, wide, x.device());
  NormCall call(in, arguments, wide, table, heads, dtype);
  if (call.forward.rows > 0) kernel::norm_forward(in.device(), call.forward);
  if (Tape* tape = recording({&in, &call.weight, &call.bias, &call.alpha}))
    call.save(tape->record<NormNode>({&in, &call.weight, &call.bias, &call.alpha}, {&call.y}).norm, in);
  return call.y;
}

Tensor residual_add(const Tensor& stream, const Tensor& o, const ResidualJoin& join) {
  check_join("residual_add", stream, o, join);
  JoinCall call(stream, o, join);
  if (call.forward.rows > 0) kernel::join_forward(call.joined.device(), call.forward);
  if (Tape* tape = recording({&call.stream, &call.o, &call.res, &call.branch})) {
    auto& node =
        tape->record<ResidualAddNode>({&call.stream, &call.o, &call.res, &call.branch}, {&call.joined});
    node.shape = stream.shape();
    call.save(node.join);
  }
  return call.joined;
}

std::pair<Tensor, Tensor> residual_add_norm(const Tensor& stream, const Tensor& o, const ResidualJoin& join,
                                            const NormArguments& arguments, DType dtype) {
  check_join("residual_add_norm", stream, o, join);
  check_norm("residual_add_norm", stream, arguments, dtype);
  check(arguments.activation == Activation::identity, "residual_add_norm: takes no activation, got ",
        name_of(arguments.activation));
  JoinCall j(stream, o, join);
  NormCall n(j.joined, arguments, dtype);
  if (j.forward.rows > 0) kernel::join_norm_forward(j.joined.device(), {j.forward, n.forward});
  if (Tape* tape = recording({&j.stream, &j.o, &j.res, &j.branch, &n.weight, &n.bias, &n.alpha})) {
    auto& node = tape->record<ResidualAddNormNode>(
        {&j.stream, &j.o, &j.res, &j.branch, &n.weight, &n.bias, &n.alpha}, {&j.joined, &n.y});
    node.shape = stream.shape();
    j.save(node.join);
    n.save(node.norm, j.joined);
  }
  return {j.joined, n.y};
}

}  // namespace engine
