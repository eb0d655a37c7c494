// ldmatrix and mma.sync by index: every element of every lane's registers, as the PTX ISA lays them out.
#include <catch2/catch.hpp>

#include "cuda_test.h"

namespace engine::cuda_host {
namespace {

struct MatricesShared {
  SharedArray<uint16_t, 4 * 64> rows;
};
struct MatricesArgs {
  uint32_t* out;  // [lane, 4]
};
// Element (matrix, row, column) is matrix * 64 + row * 8 + column.
template <bool kTransposed>
void load_kernel(MatricesArgs a) {
  auto& s = block_shared<MatricesShared>();
  const int lane = int(threadIdx.x);
  for (int i = lane; i < 256; i += 32) s.rows[i] = uint16_t(i);
  __syncwarp();
  uint32_t r[4];
  if (kTransposed)
    ldmatrix_x4_trans(r, s.rows.at(lane * 8));
  else
    ldmatrix_x4(r, s.rows.at(lane * 8));
  for (int m = 0; m < 4; ++m) global(a.out)[lane * 4 + m] = r[m];
}

TEST_CASE("ldmatrix gives each lane two elements of four matrices") {
  under_every_schedule([] {
    for (const bool transposed : {false, true}) {
      DeviceArray<uint32_t> out(128);
      run<MatricesShared, MatricesArgs>(transposed ? load_kernel<true> : load_kernel<false>, 1, 32, {out.p});
      const std::vector<uint32_t> got = out.read();
      for (int lane = 0; lane < 32; ++lane)
        for (int m = 0; m < 4; ++m)
          for (int k = 0; k < 2; ++k) {
            const int g = lane / 4, t = lane % 4 * 2 + k;
            const uint32_t element = (got[size_t(lane * 4 + m)] >> (16 * k)) & 0xffff;
            REQUIRE(element == uint32_t(m * 64 + (transposed ? t * 8 + g : g * 8 + t)));
          }
    }
  });
}

template <class T>
struct MmaArgs {
  const T *a, *b;  // [16, 16], [16, 8]
  const float* c;  // [16, 8]
  float* d;
};
template <class T>
uint32_t pair_of(const Global<const T>& x, int first, int second) {
  const T low = x[first], high = x[second];
  return uint32_t(low.bits) | uint32_t(high.bits) << 16;
}
template <class T>
void mma_kernel(MmaArgs<T> args) {
  const auto a = global(args.a), b = global(args.b);
  const auto c = global(args.c);
  const auto d = global(args.d);
  const int g = int(threadIdx.x) / 4, t = int(threadIdx.x) % 4;
  const auto row = [&](int i, int k) { return pair_of<T>(a, i * 16 + k, i * 16 + k + 1); };
  const uint32_t af[4] = {row(g, 2 * t), row(g + 8, 2 * t), row(g, 2 * t + 8), row(g + 8, 2 * t + 8)};
  const uint32_t b0 = pair_of<T>(b, 2 * t * 8 + g, (2 * t + 1) * 8 + g);
  const uint32_t b1 = pair_of<T>(b, (2 * t + 8) * 8 + g, (2 * t + 9) * 8 + g);
  float r[4];
  for (int i = 0; i < 4; ++i) r[i] = c[(g + i / 2 * 8) * 8 + 2 * t + i % 2];
  mma_16816<T>(r, af, b0, b1);
  for (int i = 0; i < 4; ++i) d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = r[i];
}

template <class T>
std::vector<float> product(const std::vector<float>& a, const std::vector<float>& b,
                           const std::vector<float>& c) {
  const auto stored = [](const std::vector<float>& x) {
    std::vector<T> y;
    for (float v : x) y.push_back(narrow<T>(v));
    return y;
  };
  DeviceArray<T> da(256, stored(a)), db(128, stored(b));
  DeviceArray<float> dc(128, c), dd(128);
  run<NoShared, MmaArgs<T>>(mma_kernel<T>, 1, 32, {da.p, db.p, dc.p, dd.p});
  return dd.read();
}

template <class T>
void check_every_index() {
  // One element of A and one of B at a time: exactly C(i, j) changes, when the inner indices meet.
  for (int i = 0; i < 16; ++i)
    for (int k = 0; k < 16; ++k) {
      const int j = (i + 3 * k) % 8, other = (k + 1) % 16;
      std::vector<float> a(256, 0), b(128, 0), c(128, 0);
      a[size_t(i * 16 + k)] = 3, b[size_t(k * 8 + j)] = 5, b[size_t(other * 8 + j)] = 7;
      c[size_t(i * 8 + j)] = 0.5f;
      const std::vector<float> d = product<T>(a, b, c);
      for (int e = 0; e < 128; ++e) REQUIRE(d[size_t(e)] == (e == i * 8 + j ? 15.5f : 0.0f));
    }
}

TEST_CASE("mma.sync: every index of A, B and C, in bf16 and f16") {
  check_every_index<bf16>();
  check_every_index<f16>();
}

TEST_CASE("mma.sync: a full product of small integers is exact") {
  std::vector<float> a, b, c;
  for (int i = 0; i < 256; ++i) a.push_back(float((i * 37) % 11 - 5));
  for (int i = 0; i < 128; ++i) b.push_back(float((i * 53) % 13 - 6)), c.push_back(float(i));
  under_every_schedule([&] {
    const std::vector<float> low = product<bf16>(a, b, c), half = product<f16>(a, b, c);
    for (int i = 0; i < 16; ++i)
      for (int j = 0; j < 8; ++j) {
        float expected = c[size_t(i * 8 + j)];
        for (int k = 0; k < 16; ++k) expected += a[size_t(i * 16 + k)] * b[size_t(k * 8 + j)];
        REQUIRE(low[size_t(i * 8 + j)] == expected);
        REQUIRE(half[size_t(i * 8 + j)] == expected);
      }
  });
}

}  // namespace
}  // namespace engine::cuda_host
