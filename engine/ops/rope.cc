// Read first: rope.h, rope_kernels.h.
#include "engine/ops/rope.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <vector>

#include "engine/ops/rope_kernels.h"
#include "engine/ops/view.h"

namespace engine {
namespace {

RopeTable make_table(int64_t first, int64_t positions, const RopeAngles& angles, DType dtype, Device device) {
  const int64_t half = int64_t(angles.frequencies.size());
  std::vector<double> c(size_t(positions * half)), s(c.size());
  for (int64_t i = 0; i < half; ++i) {
    const double frequency = angles.frequencies[size_t(i)], scale = frequency != 0 ? angles.amplitude : 1;
    for (int64_t t = 0; t < positions; ++t) {
      const double angle = double(first + t) * frequency;
      c[size_t(t * half + i)] = scale * std::cos(angle), s[size_t(t * half + i)] = scale * std::sin(angle);
    }
  }
  return {Tensor::from(c, {positions, half}, dtype).to(device),
          Tensor::from(s, {positions, half}, dtype).to(device)};
}

// The table of a model is made once and grows by doubling, so that a generation step finds its position in
// it.
RopeTable table_for(int64_t first, int64_t positions, const RopeAngles& angles, DType dtype, Device device) {
  constexpr int64_t kLongest = 1 << 18;  // positions; beyond, a table is made for the call alone
  struct Entry {
    RopeAngles angles;
    DType dtype;
    Device device;
    RopeTable table;
  };
  static std::mutex mutex;
  static std::vector<Entry> entries;
  if (first + positions > kLongest) return make_table(first, positions, angles, dtype, device);

  const std::lock_guard lock(mutex);
  auto found = std::find_if(entries.begin(), entries.end(), [&](const Entry& e) {
    return e.angles == angles && e.dtype == dtype && e.device == device;
  });
  if (found == entries.end()) {
    if (entries.size() == 16) entries.erase(entries.begin());
    found = entries.insert(entries.end(), {angles, dtype, device, {}});
  }
  RopeTable& table = found->table;
  const int64_t length = table.cos.defined() ? table.cos.size(0) : 0;
  if (length < first + positions)
    table = make_table(0, std::min(kLongest, std::max(first + positions, 2 * length)), angles, dtype, device);
  return {table.cos.slice(0, first, first + positions), table.sin.slice(0, first, first + positions)};
}

//   y = a R(angle) x, a rotation of every pair        dx = a R(-angle) dy
struct RopeNode : NodeOf<RopeNode> {
  static constexpr const char* kName = "rope";
  Saved cos, sin;
  int64_t time = 0, heads = 0, n = 0;
  auto saved() { return std::tie(cos, sin); }

  void backward(Backward& b) override {
    const Tensor dy = b.dy();
    const Into dx = b.into_rows(0);
    if (dy.numel() == 0) return;
    kernel::rope(dy.device(),
                 {dy.raw(), dx.buffer.raw(), cos.get().raw(), sin.get().raw(), dy.numel() / dy.size(-1), time,
                  heads, n, dy.size(-1), dx.buffer.row_stride(), dy.dtype(), true, dx.accumulate});
  }
};

}  // namespace

RopeAngles plain_rope_angles(int64_t n, double theta) {
  check(std::isfinite(theta) && theta > 0, "rope: theta must be positive, got ", theta);
  RopeAngles angles;
  for (int64_t i = 0; i < n / 2; ++i)
    angles.frequencies.push_back(std::pow(theta, -2.0 * double(i) / double(n)));
  return angles;
}

RopeTable rope_table(int64_t n, int64_t first, int64_t positions, const RopeAngles& angles, DType dtype,
                     Device device) {
  check(int64_t(angles.frequencies.size()) == n / 2, "rope: heads of ", n, " channels need ", n / 2,
        " frequencies, got ", angles.frequencies.size());
  for (const double f : angles.frequencies)
    check(std::isfinite(f), "rope: a frequency must be finite, got ", f);
  check(first >= 0 && first < (int64_t(1) << 40), "rope: offset ", first, " is not a position");
  return table_for(first, positions, angles, dtype, device);
}

Tensor rope(const Tensor& x, int64_t heads, double theta, int64_t offset) {
  const int64_t n = heads > 0 && x.rank() > 0 ? x.size(-1) / heads : 0;
  return rope(x, heads, plain_rope_angles(n, theta), offset);
}

Tensor rope(const Tensor& x, int64_t heads, const RopeAngles& angles, int64_t offset) {
  check(is_float(x.dtype()) && x.rank() == 3, "rope: needs a floating input [B, T, heads * n], got ",
        x.dtype(), " ", x.shape());
  check(heads > 0 && x.size(-1) % heads == 0, "rope: ", heads, " heads do not divide last dim of ",
        x.shape());
  const int64_t n = x.size(-1) / heads, time = x.size(1);
  check(n % 2 == 0, "rope: heads of odd size ", n, " have no pairs (", heads, " heads in ", x.shape(), ")");
  const RopeTable table = rope_table(n, offset, time, angles, compute_dtype(x.dtype()), x.device());
  const Tensor in = with_uniform_rows(x);
  Tensor y = x.like(x.shape(), x.dtype());
  if (y.numel() > 0)
    kernel::rope(x.device(), {in.raw(), y.raw(), table.cos.raw(), table.sin.raw(), y.numel() / y.size(-1),
                              time, heads, n, in.row_stride(), y.size(-1), x.dtype(), false, false});
  if (Tape* tape = recording({&in})) {
    auto& node = tape->record<RopeNode>({&in}, {&y});
    node.cos = table.cos, node.sin = table.sin, node.time = time, node.heads = heads, node.n = n;
  }
  return y;
}

}  // namespace engine
