// Which function of libnccl each member of Nccl (nccl.h) is.
#pragma once

// X(member, symbol)
#define ENGINE_NCCL_FUNCTIONS(X) \
  X(version, ncclGetVersion)     \
  X(unique_id, ncclGetUniqueId)  \
  X(join, ncclCommInitRank)      \
  X(leave, ncclCommDestroy)      \
  X(group_begin, ncclGroupStart) \
  X(group_end, ncclGroupEnd)     \
  X(send, ncclSend)              \
  X(receive, ncclRecv)           \
  X(broadcast, ncclBroadcast)    \
  X(error_text, ncclGetErrorString)

namespace engine {
constexpr int kNcclBytes = 0;  // ncclInt8
}
