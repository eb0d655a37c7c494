// Read first: gemm_peers.h.
#include "engine/bench/gemm_peers.h"

#if defined(ENGINE_ONEDNN)
#include <oneapi/dnnl/dnnl.hpp>

#include "engine/base/check.h"
#endif

namespace engine {
namespace {

#if defined(ENGINE_ONEDNN)
void onednn_f32(const Gemm& g) {
  const auto data = [](const GemmOperand& x) { return static_cast<const float*>(x.data); };
  const auto status = dnnl_sgemm(g.a.transposed ? 'T' : 'N', g.b.transposed ? 'T' : 'N', g.m, g.n, g.k, 1.0f,
                                 data(g.a), g.a.stride, data(g.b), g.b.stride, g.accumulate ? 1.0f : 0.0f,
                                 static_cast<float*>(g.c), g.c_stride);
  check(status == dnnl_success, "oneDNN: sgemm failed with status ", int(status));
}

void onednn_bf16(const Gemm& g) {
  using dnnl::memory;
  static const dnnl::engine processor(dnnl::engine::kind::cpu, 0);
  static dnnl::stream stream(processor);
  const auto strides = [](const GemmOperand& x) {
    return x.transposed ? memory::dims{1, x.stride} : memory::dims{x.stride, 1};
  };
  using Type = memory::data_type;
  const memory::desc a({g.m, g.k}, Type::bf16, strides(g.a)), b({g.k, g.n}, Type::bf16, strides(g.b)),
      c({g.m, g.n}, Type::f32, {g.c_stride, 1});
  dnnl::primitive_attr attributes;
  if (g.accumulate) {
    dnnl::post_ops sum;
    sum.append_sum(1.0f);
    attributes.set_post_ops(sum);
  }
  const dnnl::matmul product(
      dnnl::matmul::primitive_desc(dnnl::matmul::desc(a, b, c), attributes, processor));
  product.execute(stream, {{DNNL_ARG_SRC, memory(a, processor, const_cast<void*>(g.a.data))},
                           {DNNL_ARG_WEIGHTS, memory(b, processor, const_cast<void*>(g.b.data))},
                           {DNNL_ARG_DST, memory(c, processor, g.c)}});
  stream.wait();
}
#endif

}  // namespace

const std::vector<GemmPeer>& gemm_peers() {
  static const std::vector<GemmPeer> peers = {
#if defined(ENGINE_ONEDNN)
    {"oneDNN sgemm", [](DType dtype) { return dtype == DType::f32; }, onednn_f32},
    {"oneDNN matmul", [](DType dtype) { return dtype == DType::bf16; }, onednn_bf16},
#endif
  };
  return peers;
}

}  // namespace engine
