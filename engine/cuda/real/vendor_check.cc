// In a build with CUDA: the declarations of driver.h and cublaslt.h against the vendor's own headers.
#if defined(ENGINE_HAS_cuda)
#include <cublasLt.h>
#include <cuda.h>

#include <cstddef>

#include "engine/base/same_signature.h"
#include "engine/cuda/real/cublaslt.h"
#include "engine/cuda/real/cublaslt_functions.h"
#include "engine/cuda/real/driver_functions.h"

namespace engine::cuda {
namespace {

#define ENGINE_SAME(member, symbol) \
  static_assert(SameSignature<decltype(Driver::member), decltype(&::symbol)>::value, #symbol);
ENGINE_DRIVER_FUNCTIONS(ENGINE_SAME)
#undef ENGINE_SAME
#define ENGINE_SAME(member, symbol) \
  static_assert(SameSignature<decltype(CublasLt::member), decltype(&::symbol)>::value, #symbol);
ENGINE_CUBLASLT_FUNCTIONS(ENGINE_SAME)
#undef ENGINE_SAME

static_assert(int(kOutOfMemory) == CUDA_ERROR_OUT_OF_MEMORY && int(kNoDevice) == CUDA_ERROR_NO_DEVICE &&
              int(kStub) == CUDA_ERROR_STUB_LIBRARY && int(kNotReady) == CUDA_ERROR_NOT_READY);
static_assert(kMajor == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR &&
              kMinor == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
static_assert(int(kReal16) == CUDA_R_16F && int(kBrain16) == CUDA_R_16BF && int(kReal32) == CUDA_R_32F &&
              int(kReal64) == CUDA_R_64F);
static_assert(int(kCompute32) == CUBLAS_COMPUTE_32F && int(kCompute64) == CUBLAS_COMPUTE_64F);
static_assert(CUBLAS_OP_N == 0 && CUBLAS_OP_T == 1);
static_assert(int(kTransposeA) == CUBLASLT_MATMUL_DESC_TRANSA &&
              int(kTransposeB) == CUBLASLT_MATMUL_DESC_TRANSB);
static_assert(int(kEpilogue) == CUBLASLT_MATMUL_DESC_EPILOGUE &&
              int(kBiasPointer) == CUBLASLT_MATMUL_DESC_BIAS_POINTER &&
              int(kAddBias) == CUBLASLT_EPILOGUE_BIAS);
static_assert(int(kBatchCount) == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT &&
              int(kBatchOffset) == CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET);
static_assert(int(kPreferWorkspace) == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES &&
              int(kPreferReductions) == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK &&
              int(kPreferAlignmentA) == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES &&
              int(kPreferAlignmentA) + 3 == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);
static_assert(int(kReduceInComputeType) == CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
static_assert(sizeof(LtAlgorithm) == sizeof(cublasLtMatmulAlgo_t));
static_assert(sizeof(LtHeuristic) == sizeof(cublasLtMatmulHeuristicResult_t) &&
              offsetof(LtHeuristic, workspace) == offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize) &&
              offsetof(LtHeuristic, status) == offsetof(cublasLtMatmulHeuristicResult_t, state));

}  // namespace
}  // namespace engine::cuda
#endif
