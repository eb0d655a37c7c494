// Products by cuBLASLt, found when the first one is asked for.
//
// A product is looked up once by its sizes, types, strides and the alignment of its pointers: the first
// algorithm that cuBLASLt's heuristics name for a fixed workspace, with sums that are split in a fixed order
// or not at all, so that the same card gives the same bits every time. (Choosing by timing would not.)
// Row-major matrices are cuBLASLt's column-major ones transposed: C^T = op(B)^T op(A)^T. Source: "cuBLAS
// Library", chapter "Using the cuBLASLt API" (docs.nvidia.com). Read first: kernel/gemm.h.
#pragma once

#include <map>
#include <memory>
#include <tuple>

#include "engine/cuda/real/runtime.h"
#include "engine/kernel/gemm.h"

namespace engine::cuda {

/// Numbers of cublasLt.h and library_types.h; vendor_check.cc compares them.
enum : int {
  kReal16 = 2,
  kBrain16 = 14,
  kReal32 = 0,
  kReal64 = 1,  // cudaDataType
  kCompute32 = 68,
  kCompute64 = 70,  // cublasComputeType_t
  kTransposeA = 3,
  kTransposeB = 4,
  kEpilogue = 7,
  kBiasPointer = 8,  // attributes of a product
  kAddBias = 4,      // an epilogue
  kBatchCount = 5,
  kBatchOffset = 6,  // of a matrix
  kPreferWorkspace = 1,
  kPreferReductions = 3,     // of a preference
  kPreferAlignmentA = 5,     // B, C and D follow
  kReduceInComputeType = 2,  // a reduction scheme
  kExecutionFailed = 13,
  kInternalError = 14,  // cublasStatus_t
};

/// An algorithm, as cuBLASLt describes it, and what its heuristics say of it.
struct LtAlgorithm {
  uint64_t data[8];
};
struct LtHeuristic {
  LtAlgorithm algorithm;
  size_t workspace;
  int status;
  float waves;
  int reserved[4];
};

struct CublasLt {
  int (*create)(Handle* handle);
  int (*destroy)(Handle handle);
  int (*product_create)(Handle* product, int compute, int scale);
  int (*product_destroy)(Handle product);
  int (*product_set)(Handle product, int attribute, const void* value, size_t bytes);
  int (*matrix_create)(Handle* matrix, int type, uint64_t rows, uint64_t columns, int64_t stride);
  int (*matrix_destroy)(Handle matrix);
  int (*matrix_set)(Handle matrix, int attribute, const void* value, size_t bytes);
  int (*preference_create)(Handle* preference);
  int (*preference_destroy)(Handle preference);
  int (*preference_set)(Handle preference, int attribute, const void* value, size_t bytes);
  int (*heuristic)(Handle handle, Handle product, Handle a, Handle b, Handle c, Handle d, Handle preference,
                   int wanted, LtHeuristic* found, int* count);
  int (*multiply)(Handle handle, Handle product, const void* alpha, const void* a, Handle a_matrix,
                  const void* b, Handle b_matrix, const void* beta, const void* c, Handle c_matrix, void* d,
                  Handle d_matrix, const LtAlgorithm* algorithm, void* workspace, size_t workspace_bytes,
                  Handle stream);
};

class Products {
 public:
  /// Error: the library is not there, too old, or does not start.
  explicit Products(Runtime& runtime);
  ~Products();
  Products(const Products&) = delete;
  Products& operator=(const Products&) = delete;

  /// c = op(a) op(b), or c +=; a and b of one dtype, k > 0; `bias` as biased_product.h says, or none. Error:
  /// cuBLASLt has no algorithm.
  void multiply(const Gemm& gemm, const void* bias = nullptr);
  /// Products that were looked up so far.
  size_t planned() const { return plans_.size(); }

 private:
  using Key = std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t,
                         int64_t, int, int>;
  struct Plan {
    Handle product = nullptr, a = nullptr, b = nullptr, c = nullptr;
    LtAlgorithm algorithm{};
    size_t workspace = 0;
  };
  Plan make_plan(const Gemm& gemm, const void* bias, uint32_t alignment);
  void fill_plan(Plan& plan, const Gemm& gemm, const void* bias, uint32_t alignment);
  void set_bias(const Plan& plan, const void* bias);
  void destroy(const Plan& plan);
  void expect(int status, const char* what) const;

  Runtime& runtime_;
  SharedLibrary library_;
  CublasLt lt_{};
  Handle handle_ = nullptr;
  void* workspace_ = nullptr;
  std::map<Key, Plan> plans_;
};

}  // namespace engine::cuda
