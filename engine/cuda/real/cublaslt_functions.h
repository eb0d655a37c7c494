// X(member, symbol): the functions of libcublasLt under their names.
#define ENGINE_CUBLASLT_FUNCTIONS(X)                      \
  X(create, cublasLtCreate)                               \
  X(destroy, cublasLtDestroy)                             \
  X(product_create, cublasLtMatmulDescCreate)             \
  X(product_destroy, cublasLtMatmulDescDestroy)           \
  X(product_set, cublasLtMatmulDescSetAttribute)          \
  X(matrix_create, cublasLtMatrixLayoutCreate)            \
  X(matrix_destroy, cublasLtMatrixLayoutDestroy)          \
  X(matrix_set, cublasLtMatrixLayoutSetAttribute)         \
  X(preference_create, cublasLtMatmulPreferenceCreate)    \
  X(preference_destroy, cublasLtMatmulPreferenceDestroy)  \
  X(preference_set, cublasLtMatmulPreferenceSetAttribute) \
  X(heuristic, cublasLtMatmulAlgoGetHeuristic)            \
  X(multiply, cublasLtMatmul)
