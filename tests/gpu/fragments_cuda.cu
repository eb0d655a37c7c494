// What a GPU's own registers hold after ldmatrix, mma.sync and an asynchronous copy, for device_test.cc. The
// stand-in lays fragments out as the PTX manual says; whether the hardware agrees is the first thing to be
// asked of one.
#include "gpu/fragments_cuda.h"

#include "engine/cuda/gpu.h"

namespace engine::ENGINE_GPU {
namespace {

struct MatricesShared {
  SharedArray<uint16_t, 4 * 64> rows;
};
struct MatricesArgs {
  uint32_t* out;
  bool transposed;
};
__global__ void __launch_bounds__(32, 1) matrices_kernel(MatricesArgs a) {
  auto& s = block_shared<MatricesShared>();
  const int lane = int(threadIdx.x);
  for (int i = lane; i < 256; i += 32) s.rows[i] = uint16_t(i);
  __syncthreads();
  uint32_t r[4];
  if (a.transposed)
    ldmatrix_x4_trans(r, s.rows.at(lane * 8));
  else
    ldmatrix_x4(r, s.rows.at(lane * 8));
  const auto out = global(a.out);
  for (int m = 0; m < 4; ++m) out[lane * 4 + m] = r[m];
}

template <class T>
struct ProductArgs {
  const T *a, *b;
  const float* c;
  float* d;
};
template <class T>
GPU_INLINE uint32_t two(const Global<const T>& x, int first, int second) {
  const T low = x[first], high = x[second];
  return uint32_t(low.bits) | uint32_t(high.bits) << 16;
}
template <class T>
__global__ void __launch_bounds__(32, 1) product_kernel(ProductArgs<T> args) {
  const Global<const T> a = global(args.a), b = global(args.b);
  const auto c = global(args.c);
  const auto d = global(args.d);
  const int g = int(threadIdx.x) / 4, t = int(threadIdx.x) % 4;
  const uint32_t af[4] = {two<T>(a, g * 16 + 2 * t, g * 16 + 2 * t + 1),
                          two<T>(a, (g + 8) * 16 + 2 * t, (g + 8) * 16 + 2 * t + 1),
                          two<T>(a, g * 16 + 2 * t + 8, g * 16 + 2 * t + 9),
                          two<T>(a, (g + 8) * 16 + 2 * t + 8, (g + 8) * 16 + 2 * t + 9)};
  const uint32_t b0 = two<T>(b, 2 * t * 8 + g, (2 * t + 1) * 8 + g);
  const uint32_t b1 = two<T>(b, (2 * t + 8) * 8 + g, (2 * t + 9) * 8 + g);
  float r[4];
  for (int i = 0; i < 4; ++i) r[i] = c[(g + i / 2 * 8) * 8 + 2 * t + i % 2];
  mma_16816<T>(r, af, b0, b1);
  for (int i = 0; i < 4; ++i) d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = r[i];
}

struct CopyShared {
  SharedArray<float, 128> x;
};
struct CopyArgs {
  const float* from;
  float* to;
  int valid;
};
__global__ void __launch_bounds__(32, 1) async_copy_kernel(CopyArgs a) {
  auto& s = block_shared<CopyShared>();
  const int lane = int(threadIdx.x);
  cp_async_16(s.x.at(lane * 4), global(a.from) + (lane < a.valid ? lane * 4 : 0), lane < a.valid);
  cp_async_commit();
  cp_async_wait<0>();
  __syncthreads();
  const auto to = global(a.to);
  for (int i = 0; i < 4; ++i) {
    const float v = s.x[i * 32 + lane];
    to[i * 32 + lane] = v;
  }
}

}  // namespace

void fragments_of_matrices(uint32_t* out, bool transposed) {
  launch<MatricesShared>(matrices_kernel, dim3(1), 32, current_stream(), MatricesArgs{out, transposed});
}
void fragments_product(const bf16* a, const bf16* b, const float* c, float* d) {
  launch<NoShared>(product_kernel<bf16>, dim3(1), 32, current_stream(), ProductArgs<bf16>{a, b, c, d});
}
void fragments_product(const f16* a, const f16* b, const float* c, float* d) {
  launch<NoShared>(product_kernel<f16>, dim3(1), 32, current_stream(), ProductArgs<f16>{a, b, c, d});
}
void fragments_copy(const float* from, float* to, int valid) {
  launch<CopyShared>(async_copy_kernel, dim3(1), 32, current_stream(), CopyArgs{from, to, valid});
}

}  // namespace engine::ENGINE_GPU
