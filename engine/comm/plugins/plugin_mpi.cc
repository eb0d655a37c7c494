// libnormlab_mpi.so: the transport over MPI. It moves bytes and adds nothing (../transport.h), so that sums do
// not depend on the library's algorithms or version.
//
// Collectives are the non-blocking ones, waited for by MPI_Test: a wait inside MPI spins and takes a core. In
// front of each stands a barrier that is looked at now and then, for that is where a rank waits for a later
// one; after it everybody is here, and the transfer itself is driven without pauses.
#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <vector>

#include "engine/comm/transport.h"

namespace {

constexpr int kPause = 50;                           // microseconds between two looks
constexpr int64_t kMost = int64_t(256) << 20;        // bytes of one call: counts are ints
constexpr int kSpins = 64;                           // looks before the first pause

class MpiTransport final : public engine::Transport {
 public:
  MpiTransport() {
    int level = 0;
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &place_.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &place_.size);
    MPI_Comm local;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, place_.rank, MPI_INFO_NULL, &local);
    MPI_Comm_rank(local, &place_.local_rank);
    MPI_Comm_size(local, &place_.local_size);
    MPI_Comm_free(&local);
    char name[MPI_MAX_PROCESSOR_NAME + 1] = {};
    int length = 0;
    MPI_Get_processor_name(name, &length);
    place_.host = name;
  }

  void all_to_all(const char* send, const int64_t* to, char* receive, const int64_t* from) override {
    meet();
    // Point to point, in pieces that an int can count; what a rank sends itself is copied.
    std::vector<MPI_Request> requests;
    for (int step = 0; step < place_.size; ++step) {
      const int source = (place_.rank + place_.size - step) % place_.size,
                target = (place_.rank + step) % place_.size;
      if (step == 0) {
        std::copy(send + to[target], send + to[target + 1], receive + from[source]);
        continue;
      }
      for (int64_t at = from[source]; at < from[source + 1]; at += kMost)
        MPI_Irecv(receive + at, int(std::min(kMost, from[source + 1] - at)), MPI_BYTE, source, 0, MPI_COMM_WORLD,
                  &requests.emplace_back());
      for (int64_t at = to[target]; at < to[target + 1]; at += kMost)
        MPI_Isend(send + at, int(std::min(kMost, to[target + 1] - at)), MPI_BYTE, target, 0, MPI_COMM_WORLD,
                  &requests.emplace_back());
    }
    drive(requests);
  }

  void all_gather(char* all, const int64_t* bounds) override {
    meet();
    std::vector<MPI_Request> requests;
    const int me = place_.rank;
    for (int step = 1; step < place_.size; ++step) {
      const int source = (me + place_.size - step) % place_.size, target = (me + step) % place_.size;
      for (int64_t at = bounds[source]; at < bounds[source + 1]; at += kMost)
        MPI_Irecv(all + at, int(std::min(kMost, bounds[source + 1] - at)), MPI_BYTE, source, 0, MPI_COMM_WORLD,
                  &requests.emplace_back());
      for (int64_t at = bounds[me]; at < bounds[me + 1]; at += kMost)
        MPI_Isend(all + at, int(std::min(kMost, bounds[me + 1] - at)), MPI_BYTE, target, 0, MPI_COMM_WORLD,
                  &requests.emplace_back());
    }
    drive(requests);
  }

  void broadcast(char* bytes, int64_t count, int root) override {
    meet();
    for (int64_t at = 0; at < count; at += kMost) {
      std::vector<MPI_Request> requests(1);
      MPI_Ibcast(bytes + at, int(std::min(kMost, count - at)), MPI_BYTE, root, MPI_COMM_WORLD, requests.data());
      drive(requests);
    }
  }

  void finish() override {
    meet();  // MPI_Finalize waits for ranks in a busy loop
    MPI_Finalize();
  }

  void abort(int code) override {
    MPI_Abort(MPI_COMM_WORLD, code);
    ::_exit(code);
  }

 private:
  /// Returns when every rank is here, or ends all when this one was given up meanwhile.
  void meet() {
    MPI_Request request;
    MPI_Ibarrier(MPI_COMM_WORLD, &request);
    int done = 0;
    for (int looks = 0;; ++looks) {
      MPI_Test(&request, &done, MPI_STATUS_IGNORE);
      if (done) return;
      if (given_up() >= 0) abort(given_up());
      if (looks >= kSpins) ::usleep(kPause);
    }
  }
  void drive(std::vector<MPI_Request>& requests) {
    int done = 0;
    for (;;) {
      MPI_Testall(int(requests.size()), requests.data(), &done, MPI_STATUSES_IGNORE);
      if (done) return;
      if (given_up() >= 0) abort(given_up());
      ::sched_yield();
    }
  }
};

}  // namespace

extern "C" engine::Transport* normlab_open_transport(int interface) {
  return interface == engine::kTransportInterface ? new MpiTransport : nullptr;
}
