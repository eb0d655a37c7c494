// Read first: nccl.h.
#include "engine/comm/nccl.h"

#include <cstdlib>
#include <cstring>

#include "engine/base/check.h"
#include "engine/base/log.h"
#include "engine/base/shared_library.h"
#include "engine/base/text.h"
#include "engine/comm/nccl_functions.h"
#include "engine/core/side_queue.h"

namespace engine {
namespace {

void expect(const Nccl& nccl, int result, const char* what) {
  check(result == 0, "NCCL: ", what, ": ", result == 0 ? "" : nccl.error_text(result));
}

class NcclTransport final : public Transport {
 public:
  NcclTransport(std::shared_ptr<const Nccl> nccl, const Place& place, const Nccl::Id& id)
      : nccl_(std::move(nccl)) {
    place_ = place;
    expect(*nccl_, nccl_->join(&communicator_, place.size, id, place.rank), "joining the other ranks");
  }
  ~NcclTransport() override {
    // One that was not finished ends with the process: leaving may wait for ranks that are gone.
  }

  void enter(void* stream) override { stream_ = stream; }

  void all_to_all(const char* send, const int64_t* to, char* receive, const int64_t* from) override {
    together([&] {
      for (int r = 0; r < place_.size; ++r) {
        put(send + to[r], to[r + 1] - to[r], r);
        take(receive + from[r], from[r + 1] - from[r], r);
      }
    });
  }
  void all_gather(char* all, const int64_t* bounds) override {
    const int me = place_.rank;
    together([&] {
      for (int r = 0; r < place_.size; ++r) {
        if (r == me) continue;
        put(all + bounds[me], bounds[me + 1] - bounds[me], r);
        take(all + bounds[r], bounds[r + 1] - bounds[r], r);
      }
    });
  }
  void broadcast(char* bytes, int64_t count, int root) override {
    if (count > 0)
      expect(*nccl_, nccl_->broadcast(bytes, bytes, size_t(count), kNcclBytes, root, communicator_, stream_),
             "a broadcast");
  }
  void finish() override {
    nccl_->leave(communicator_);  // all is done: a refusal, as of a lost GPU, changes nothing
  }
  void abort(int) override {}  // the launcher's transport ends the processes

 private:
  template <class F>
  void together(const F& calls) {
    expect(*nccl_, nccl_->group_begin(), "a group");
    try {
      calls();
    } catch (...) {
      nccl_->group_end();  // an open group would keep back all calls that follow
      throw;
    }
    expect(*nccl_, nccl_->group_end(), "a group");
  }
  void put(const char* from, int64_t count, int rank) {
    if (count > 0)
      expect(*nccl_, nccl_->send(from, size_t(count), kNcclBytes, rank, communicator_, stream_), "sending");
  }
  void take(char* to, int64_t count, int rank) {
    if (count > 0)
      expect(*nccl_, nccl_->receive(to, size_t(count), kNcclBytes, rank, communicator_, stream_),
             "receiving");
  }

  std::shared_ptr<const Nccl> nccl_;
  void* communicator_ = nullptr;
  void* stream_ = nullptr;
};

std::string version_text(const Nccl& nccl) {
  int version = 0;
  expect(nccl, nccl.version(&version), "asking for the version");
  return join_text(version / 10000, ".", version / 100 % 100, ".", version % 100);
}

}  // namespace

std::shared_ptr<const Nccl> find_nccl() {
  const char* const named = std::getenv("NORMLAB_NCCL");
  const auto nccl = std::make_shared<Nccl>();
  SharedLibrary library;
  try {
    library = SharedLibrary({named ? named : "libnccl.so.2"});
  } catch (const Error& e) {
    fail("no NCCL: ", e.what(), "; NORMLAB_NCCL names another one");
  }
  nccl->path = library.path();
#define ENGINE_FIND(member, symbol) library.find(nccl->member, #symbol);
  ENGINE_NCCL_FUNCTIONS(ENGINE_FIND)
#undef ENGINE_FIND
  return nccl;
}

Nccl::Id new_nccl_id(const Nccl& nccl) {
  Nccl::Id id{};
  expect(nccl, nccl.unique_id(&id), "making an id");
  return id;
}

std::unique_ptr<Transport> open_nccl(std::shared_ptr<const Nccl> nccl, const Place& place,
                                     const Nccl::Id& id) {
  return std::make_unique<NcclTransport>(std::move(nccl), place, id);
}

void carry_by_nccl(Communicator& ranks, Device device) {
  if (ranks.size() == 1 || side_queue_of(device) == nullptr) return;
  if (device == Device::cuda_host && std::getenv("NORMLAB_NCCL") == nullptr) return;
  std::shared_ptr<const Nccl> nccl;
  std::string refusal;
  try {
    check(device_sharers() == 1, device_sharers(), " ranks share a GPU, which NCCL refuses");
    nccl = find_nccl();
  } catch (const Error& e) {
    refusal = e.what();
  }
  const std::vector<std::string> refusals = ranks.gather(refusal);
  for (size_t r = 0; r < refusals.size(); ++r) {
    if (refusals[r].empty()) continue;
    if (ranks.rank() == 0)
      log_warning("gradients travel through the host's memory: rank ", r, ": ", refusals[r]);
    return;
  }
  Nccl::Id id{};
  ranks.agree([&] {
    if (ranks.rank() == 0) id = new_nccl_id(*nccl);
  });
  const std::string bytes = ranks.from_root(std::string(id.bytes, sizeof id.bytes));
  std::memcpy(id.bytes, bytes.data(), sizeof id.bytes);
  std::unique_ptr<Transport> transport;
  ranks.agree([&] { transport = open_nccl(nccl, ranks.place(), id); });
  ranks.carry(device, std::move(transport));
  if (ranks.rank() == 0) log_info("gradients travel by NCCL ", version_text(*nccl), " (", nccl->path, ")");
}

}  // namespace engine
