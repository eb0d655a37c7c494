// Transport: what moves bytes between ranks. It does no arithmetic, so that sums are ours on every transport,
// in one order (tree_sum.h).
//
// Every function is collective: all ranks call the same ones in the same order, and always from one thread,
// the one that opened the transport (communicator.h has it). abort() and give_up() may come from any thread.
//
// A transport that needs a library of its own is a shared module that is loaded when a launcher is there
// (world.h): it exports `normlab_open_transport` (OpenTransport) and sees this header alone.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace engine {

/// Which rank of how many this is, and which of those on its machine.
struct Place {
  int rank = 0, size = 1, local_rank = 0, local_size = 1;
  std::string host;
};

class Transport {
 public:
  virtual ~Transport() = default;
  const Place& place() const { return place_; }

  /// Sends bytes [to[r], to[r + 1]) of `send` to each rank r; what rank r sends lands at [from[r], from[r + 1])
  /// of `receive`. Both tables have size + 1 offsets.
  virtual void all_to_all(const char* send, const int64_t* to, char* receive, const int64_t* from) = 0;
  /// In place: rank r has bytes [bounds[r], bounds[r + 1]) of `all`; every rank gets all of them.
  virtual void all_gather(char* all, const int64_t* bounds) = 0;
  /// In place: every rank gets rank `root`'s bytes.
  virtual void broadcast(char* bytes, int64_t count, int root) = 0;
  /// The orderly end: returns when every rank has called it.
  virtual void finish() = 0;
  /// The other end: all ranks go, with this exit code where the transport has processes. Does not return
  /// there.
  virtual void abort(int code) = 0;

  /// Of a transport between devices: what follows is put on this stream of the device, and is done when that is.
  virtual void enter(void* stream) { (void)stream; }

  /// Asks the thread that waits in a collective to call abort(code).
  void give_up(int code) { given_up_.store(code); }

 protected:
  /// The code of give_up(), once it was called; else -1.
  int given_up() const { return given_up_.load(); }
  Place place_;

 private:
  std::atomic<int> given_up_{-1};
};

/// What a module exports under the name "normlab_open_transport". `interface`: kTransportInterface of the
/// caller; null when the module was built for another one.
using OpenTransport = Transport*(int interface);
constexpr int kTransportInterface = 2;

}  // namespace engine
