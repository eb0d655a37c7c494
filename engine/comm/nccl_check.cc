// Where NCCL's own header is: the declarations of nccl.h against it.
#if __has_include(<nccl.h>) && __has_include(<cuda_runtime.h>)
#include <nccl.h>

#include "engine/base/same_signature.h"
#include "engine/comm/nccl.h"
#include "engine/comm/nccl_functions.h"

namespace engine {
namespace {

#define ENGINE_SAME(member, symbol) \
  static_assert(SameSignature<decltype(Nccl::member), decltype(&::symbol)>::value, #symbol);
ENGINE_NCCL_FUNCTIONS(ENGINE_SAME)
#undef ENGINE_SAME

static_assert(sizeof(Nccl::Id) == sizeof(ncclUniqueId));
static_assert(kNcclBytes == ncclInt8 && ncclSuccess == 0);

}  // namespace
}  // namespace engine
#endif
