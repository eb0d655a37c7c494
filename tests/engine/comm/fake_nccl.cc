// A library with NCCL's functions, for tests of what calls them: ranks that are threads or processes of one machine meet
// in a file that all map, with a mailbox for each pair. A stream is null, or says how far from a pointer its memory
// can be reached (the stand-in of a GPU gives that).
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

struct Id {
  char path[128];
};

struct Mailbox {
  std::atomic<uint64_t> written, read;  // bytes so far
  char bytes[1 << 16];
};

struct Meeting {
  std::atomic<int> here;
  Mailbox boxes[];  // from * size + to
};

struct Member {
  Meeting* meeting;
  size_t bytes;
  int rank, size;
  Mailbox& box(int from, int to) const { return meeting->boxes[from * size + to]; }
};

struct Transfer {
  Member* member;
  char* memory;
  size_t left;
  int peer;
  bool sends;
};
thread_local std::vector<Transfer> transfers;
thread_local int groups = 0;

/// Moves what fits or is there.
void go_on(Transfer& t) {
  const int me = t.member->rank;
  Mailbox& box = t.sends ? t.member->box(me, t.peer) : t.member->box(t.peer, me);
  while (t.left > 0) {
    const uint64_t written = box.written.load(), read = box.read.load(), at = (t.sends ? written : read) % sizeof box.bytes;
    const size_t possible = t.sends ? sizeof box.bytes - (written - read) : written - read;
    const size_t n = std::min({t.left, possible, sizeof box.bytes - size_t(at)});
    if (n == 0) return;
    if (t.sends) {
      std::memcpy(box.bytes + at, t.memory, n);
      box.written += n;
    } else {
      std::memcpy(t.memory, box.bytes + at, n);
      box.read += n;
    }
    t.memory += n, t.left -= n;
  }
}

int carry_out() {
  if (groups > 0) return 0;
  // Two transfers between the same two go one after the other.
  for (bool all = false; !all;) {
    all = true;
    std::vector<std::pair<int, bool>> busy;
    for (Transfer& t : transfers) {
      const std::pair<int, bool> way{t.peer, t.sends};
      if (t.left == 0) continue;
      if (std::find(busy.begin(), busy.end(), way) == busy.end()) go_on(t);
      busy.push_back(way);
      all = all && t.left == 0;
    }
    if (!all) ::usleep(50);
  }
  transfers.clear();
  return 0;
}

int transfer(const void* memory, size_t count, int type, int peer, void* communicator, void* stream, bool sends) {
  auto* const member = static_cast<Member*>(communicator);
  if (type != 0 || peer < 0 || peer >= member->size) return 4;
  const ptrdiff_t distance = stream ? *static_cast<const ptrdiff_t*>(stream) : 0;
  char* const bytes = reinterpret_cast<char*>(reinterpret_cast<uintptr_t>(memory) + uintptr_t(distance));
  transfers.push_back({member, bytes, count, peer, sends});
  return carry_out();
}

}  // namespace

extern "C" {

int ncclGetVersion(int* version) {
  *version = 22703;
  return 0;
}

int ncclGetUniqueId(Id* id) {
  std::snprintf(id->path, sizeof id->path, "/dev/shm/fake_nccl_XXXXXX");
  const int fd = ::mkstemp(id->path);
  if (fd < 0) return 2;
  ::close(fd);
  return 0;
}

int ncclCommInitRank(void** communicator, int size, Id id, int rank) {
  const int fd = ::open(id.path, O_RDWR);
  if (fd < 0) return 2;
  const size_t bytes = sizeof(Meeting) + size_t(size) * size_t(size) * sizeof(Mailbox);
  if (::ftruncate(fd, off_t(bytes)) != 0) return 2;
  void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  if (memory == MAP_FAILED) return 2;
  auto* const member = new Member{static_cast<Meeting*>(memory), bytes, rank, size};
  ++member->meeting->here;
  while (member->meeting->here < size) ::usleep(100);
  if (rank == 0) ::unlink(id.path);
  *communicator = member;
  return 0;
}

int ncclCommDestroy(void* communicator) {
  auto* const member = static_cast<Member*>(communicator);
  ::munmap(member->meeting, member->bytes);
  delete member;
  return 0;
}

int ncclGroupStart() {
  ++groups;
  return 0;
}
int ncclGroupEnd() {
  --groups;
  return carry_out();
}

int ncclSend(const void* from, size_t count, int type, int peer, void* communicator, void* stream) {
  return transfer(from, count, type, peer, communicator, stream, true);
}
int ncclRecv(void* to, size_t count, int type, int peer, void* communicator, void* stream) {
  return transfer(to, count, type, peer, communicator, stream, false);
}

int ncclBroadcast(const void* from, void* to, size_t count, int type, int root, void* communicator, void* stream) {
  const auto* const member = static_cast<Member*>(communicator);
  ncclGroupStart();
  int result = 0;
  for (int r = 0; r < member->size && result == 0; ++r)
    if (r != root) {
      if (member->rank == root) result = ncclSend(from, count, type, r, communicator, stream);
      if (member->rank == r) result = ncclRecv(to, count, type, root, communicator, stream);
    }
  const int ended = ncclGroupEnd();
  return result ? result : ended;
}

const char* ncclGetErrorString(int result) {
  return result == 2 ? "unhandled system error" : result == 4 ? "invalid argument" : "unhandled error";
}

}  // extern "C"
