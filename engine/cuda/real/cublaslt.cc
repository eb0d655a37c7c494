// Read first: cublaslt.h.
#include "engine/cuda/real/cublaslt.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/cuda/real/cublaslt_functions.h"

namespace engine::cuda {
namespace {

constexpr size_t kWorkspace = size_t(32) << 20;

int type_of(DType dtype) {
  switch (dtype) {
    case DType::f64: return kReal64;
    case DType::bf16: return kBrain16;
    case DType::f16: return kReal16;
    default: return kReal32;
  }
}

/// The largest power of two up to 16 that divides all of them.
uint32_t alignment_of(std::initializer_list<uint64_t> addresses) {
  uint64_t all = 16;
  for (const uint64_t a : addresses) all |= a;
  return uint32_t(all & (~all + 1));
}
uint64_t address(const void* p) { return uint64_t(reinterpret_cast<uintptr_t>(p)); }

}  // namespace

void Products::expect(int status, const char* what) const {
  // A fault of a kernel before it shows here too, without saying what it was: the driver tells (DeviceError).
  if ((status == kExecutionFailed || status == kInternalError) && !runtime_.capturing())
    runtime_.synchronize();
  check(status == 0, "device cuda: cuBLASLt: ", what, " failed with status ", status);
}

Products::Products(Runtime& runtime) : runtime_(runtime) {
  try {
    library_ = SharedLibrary(runtime.options().cublaslt);
#define ENGINE_FIND(member, symbol) library_.find(lt_.member, #symbol);
    ENGINE_CUBLASLT_FUNCTIONS(ENGINE_FIND)
#undef ENGINE_FIND
  } catch (const Error& e) {
    fail("device cuda: no cuBLASLt for products: ", e.what(),
         "; set NORMLAB_CUDA_PATH to the folder that has it, or take cuda-host, or cpu");
  }
  runtime_.enter();
  expect(lt_.create(&handle_), "starting");
  workspace_ = runtime_.allocate(kWorkspace);
  check(workspace_ != nullptr, "device cuda: out of memory: no 32 MiB for cuBLASLt's workspace");
}

Products::~Products() {
  for (auto& [key, plan] : plans_) destroy(plan);
  if (handle_) lt_.destroy(handle_);
  if (workspace_) runtime_.release(workspace_);
}

void Products::destroy(const Plan& plan) {
  if (plan.product) lt_.product_destroy(plan.product);
  for (const Handle m : {plan.a, plan.b, plan.c})
    if (m) lt_.matrix_destroy(m);
}

Products::Plan Products::make_plan(const Gemm& g, const void* bias, uint32_t alignment) {
  Plan plan;
  try {
    fill_plan(plan, g, bias, alignment);
  } catch (...) {
    destroy(plan);
    throw;
  }
  return plan;
}

void Products::set_bias(const Plan& plan, const void* bias) {
  expect(lt_.product_set(plan.product, kBiasPointer, &bias, sizeof bias), "naming a bias");
}

void Products::fill_plan(Plan& plan, const Gemm& g, const void* bias, uint32_t alignment) {
  const bool f64 = g.c_dtype == DType::f64;
  expect(lt_.product_create(&plan.product, f64 ? kCompute64 : kCompute32, f64 ? kReal64 : kReal32),
         "describing a product");
  const auto matrix = [&](Handle& m, DType dtype, int64_t rows, int64_t columns, int64_t stride,
                          int64_t distance) {
    expect(lt_.matrix_create(&m, type_of(dtype), uint64_t(rows), uint64_t(columns), stride),
           "describing a matrix");
    const int32_t count = int32_t(g.batch);
    expect(lt_.matrix_set(m, kBatchCount, &count, sizeof count), "describing a batch");
    expect(lt_.matrix_set(m, kBatchOffset, &distance, sizeof distance), "describing a batch");
  };
  // cuBLASLt's A is our b, its B our a: stored row by row, each reads as its transpose column by column.
  const auto operand = [&](Handle& m, const GemmOperand& x, int64_t rows, int64_t columns, int64_t distance,
                           int attribute) {
    const int32_t transposed = x.transposed;
    expect(lt_.product_set(plan.product, attribute, &transposed, sizeof transposed), "describing a product");
    if (!x.transposed) std::swap(rows, columns);
    matrix(m, x.dtype, rows, columns, x.stride, distance);
  };
  operand(plan.a, g.b, g.k, g.n, g.b_batch, kTransposeA);
  operand(plan.b, g.a, g.m, g.k, g.a_batch, kTransposeB);
  matrix(plan.c, g.c_dtype, g.n, g.m, g.c_stride, g.c_batch);
  if (bias) {
    const int32_t epilogue = kAddBias;
    expect(lt_.product_set(plan.product, kEpilogue, &epilogue, sizeof epilogue), "describing a product");
    set_bias(plan, bias);  // heuristics look at its alignment
  }

  Handle preference = nullptr;
  expect(lt_.preference_create(&preference), "stating a preference");
  const uint64_t workspace = kWorkspace;
  const uint32_t reductions = kReduceInComputeType;
  expect(lt_.preference_set(preference, kPreferWorkspace, &workspace, sizeof workspace),
         "stating a preference");
  expect(lt_.preference_set(preference, kPreferReductions, &reductions, sizeof reductions),
         "stating a preference");
  for (int matrix_number = 0; matrix_number < 4; ++matrix_number)
    expect(lt_.preference_set(preference, kPreferAlignmentA + matrix_number, &alignment, sizeof alignment),
           "stating a preference");
  LtHeuristic found{};
  int count = 0;
  const int status =
      lt_.heuristic(handle_, plan.product, plan.a, plan.b, plan.c, plan.c, preference, 1, &found, &count);
  lt_.preference_destroy(preference);
  check(status == 0 && count > 0 && found.status == 0,
        "device cuda: cuBLASLt has no algorithm for a product [", g.m, ", ", g.k, "] x [", g.k, ", ", g.n,
        "] of ", g.a.dtype, " into ", g.c_dtype, " (status ", status, ")");
  plan.algorithm = found.algorithm, plan.workspace = found.workspace;
}

// Some of cuBLASLt's kernels count matrices in a grid's z (tensorflow #44175 found it refusing more).
constexpr int64_t kMostBatch = 65535;

void Products::multiply(const Gemm& g, const void* bias) {
  check(g.a.dtype == g.b.dtype, "device cuda: a product of ", g.a.dtype, " and ", g.b.dtype);
  for (int64_t first = 0; g.batch > kMostBatch && first < g.batch; first += kMostBatch) {
    Gemm part = g;
    part.batch = std::min(kMostBatch, g.batch - first);
    part.a.data = static_cast<const char*>(g.a.data) + first * g.a_batch * size_of(g.a.dtype);
    part.b.data = static_cast<const char*>(g.b.data) + first * g.b_batch * size_of(g.b.dtype);
    part.c = static_cast<char*>(g.c) + first * g.c_batch * size_of(g.c_dtype);
    multiply(part, bias);
  }
  if (g.batch > kMostBatch) return;
  runtime_.enter();
  const uint64_t element = uint64_t(size_of(g.a.dtype)), result = uint64_t(size_of(g.c_dtype));
  const uint32_t alignment = alignment_of({address(g.a.data), address(g.b.data), address(g.c), address(bias),
                                           uint64_t(g.a.stride) * element, uint64_t(g.b.stride) * element,
                                           uint64_t(g.c_stride) * result, uint64_t(g.a_batch) * element,
                                           uint64_t(g.b_batch) * element, uint64_t(g.c_batch) * result});
  const Key key{g.m,
                g.n,
                g.k,
                g.a.stride,
                g.b.stride,
                g.c_stride,
                g.batch,
                g.a_batch,
                g.b_batch,
                g.c_batch,
                int(g.a.dtype) * 8 + int(g.c_dtype),
                int(alignment) * 8 + (bias != nullptr) * 4 + g.a.transposed * 2 + g.b.transposed};
  auto at = plans_.find(key);
  if (at == plans_.end()) at = plans_.emplace(key, make_plan(g, bias, alignment)).first;
  const Plan& plan = at->second;
  if (bias) set_bias(plan, bias);
  const double one64 = 1, beta64 = g.accumulate;
  const float one32 = 1, beta32 = g.accumulate;
  const bool f64 = g.c_dtype == DType::f64;
  const void *alpha = f64 ? static_cast<const void*>(&one64) : &one32,
             *beta = f64 ? static_cast<const void*>(&beta64) : &beta32;
  expect(lt_.multiply(handle_, plan.product, alpha, g.b.data, plan.a, g.a.data, plan.b, beta, g.c, plan.c,
                      g.c, plan.c, &plan.algorithm, workspace_, kWorkspace, runtime_.stream()),
         "a product");
}

}  // namespace engine::cuda
