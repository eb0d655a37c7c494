// Streams, events and graphs, at their most reluctant: what is put on a stream is done only when somebody
// waits for it, the last moment that CUDA allows. So work that forgot to wait for another stream meets memory
// that nobody has written yet, every time and not once in a thousand runs. A graph keeps the arguments of its
// launches by value, as cudaGraph does, so a number that should have been read from device memory shows as a
// stale one.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/cuda/host/launch.h"
#include "engine/cuda/host/order.h"

namespace engine::standin {

class Stream;

/// A place in a stream.
struct Event {
  Stream* stream = nullptr;
  uint64_t place = 0;
  Clock clock;
};

/// One thing to do. `launch` is set for kernels, `run` for all else.
struct Work {
  Where where;
  std::optional<Launch> launch;
  std::function<void()> run;
  bool releases = false;  // is done even after an error before it
  Clock clock;
};

/// What a stream was given between begin_capture() and end_capture().
struct Graph {
  std::vector<Work> work;
  std::vector<std::shared_ptr<void>> memory;  // that the work releases: stays as long as the graph
};

/// How a graph differs from one that was captured later from the same step: "file:line: launch 3 …"; empty
/// when a replay does what the step would do. A differing argument is a number that a replay would keep from
/// its capture.
std::string difference(const Graph& captured, const Graph& now);

class Stream {
 public:
  Stream();
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  void launch(Launch launch);
  /// Copies between device pointers, or between device and host memory; host memory is read or written when
  /// the copy is done, not now.
  void copy(void* to, const void* from, size_t bytes, Where where = Where::here());
  /// Copies from host memory, which may change or go as soon as the call returns.
  void upload(void* to, const void* from, size_t bytes, Where where = Where::here());
  void fill(void* to, int byte, size_t bytes, Where where = Where::here());
  /// Makes memory as it was when it was handed out: NaN, written by nobody.
  void renew(void* p, size_t bytes, Where where = Where::here());
  /// Calls f on the host in the order of the stream.
  void call(std::function<void()> f, Where where = Where::here());
  /// device_release() after everything that is queued now.
  void release(void* p);

  Event record() const;
  void wait(const Event& event, Where where = Where::here());
  /// Does everything that is queued. KernelError when a kernel is wrong; what was queued behind it is
  /// dropped.
  void synchronize();

  void begin_capture();
  Graph end_capture();
  void replay(const Graph& graph, Where where = Where::here());

 private:
  void push(Work work);
  void run_to(uint64_t place);
  void carry_out(const Work& work, const Clock& clock);
  friend struct Event;

  int slot_;
  std::deque<Work> queue_;
  Clock clock_;  // what is done before the next thing on this stream; its own place is clock_.reached[slot_]
  uint64_t done_ = 0;  // place up to which this stream's work is done
  std::optional<Graph> capturing_;
};

/// The stream that the calling thread's launches go to, and a scope with another one.
Stream& current_stream();
class StreamScope {
 public:
  explicit StreamScope(Stream& stream);
  ~StreamScope();
  StreamScope(const StreamScope&) = delete;
  StreamScope& operator=(const StreamScope&) = delete;

 private:
  Stream* before_;
};

/// Does everything that is queued anywhere.
void synchronize_device();

}  // namespace engine::standin
