// Read first: stream.h.
#include "engine/cuda/host/stream.h"

#include <array>
#include <cstring>

#include "engine/base/check.h"
#include "engine/cuda/host/access.h"
#include "engine/cuda/host/device_memory.h"

namespace engine::standin {
namespace {

struct Slot {
  Stream* stream = nullptr;
  uint64_t reached = 0;  // of the streams that had this slot: places never go back, so old stamps stay true
};
std::array<Slot, kStreams>& slots() {
  static std::array<Slot, kStreams> s;
  return s;
}
Clock host_clock;  // what the host has waited for

thread_local Stream* chosen = nullptr;

std::string at(const Where& w) { return std::string(w.file) + ":" + std::to_string(w.line); }

}  // namespace

Stream::Stream() : slot_(-1) {
  for (int i = 0; i < kStreams && slot_ < 0; ++i)
    if (!slots()[size_t(i)].stream) slot_ = i;
  check(slot_ >= 0, "cuda-host: more than ", kStreams, " streams");
  Slot& slot = slots()[size_t(slot_)];
  slot.stream = this;
  clock_.reached[size_t(slot_)] = done_ = slot.reached;
}

Stream::~Stream() {
  for (const Work& work : queue_)
    if (work.releases) work.run();
  slots()[size_t(slot_)] = {nullptr, clock_.reached[size_t(slot_)]};
}

void Stream::push(Work work) {
  if (capturing_) {
    capturing_->work.push_back(std::move(work));
    return;
  }
  clock_.join(host_clock);
  ++clock_.reached[size_t(slot_)];
  work.clock = clock_;
  queue_.push_back(std::move(work));
}

void Stream::launch(Launch launch) {
  Work work;
  work.where = launch.where;
  work.launch = std::move(launch);
  push(std::move(work));
}

void Stream::copy(void* to, const void* from, size_t bytes, Where where) {
  if (!bytes) return;
  Work work;
  work.where = where;
  work.run = [=] {
    const bool from_device = is_device_pointer(from), to_device = is_device_pointer(to);
    if (from_device) copy_access(from, bytes, Access::read, where);
    if (to_device) copy_access(to, bytes, Access::write, where);
    std::memmove(to_device ? kernel_view(to) : to, from_device ? kernel_view(from) : from, bytes);
  };
  push(std::move(work));
}

void Stream::upload(void* to, const void* from, size_t bytes, Where where) {
  check(!capturing_,
        "cuda-host: a copy from the host inside a recorded step: a replay would copy the same again");
  if (!bytes) return;
  const auto* begin = static_cast<const std::byte*>(from);
  Work work;
  work.where = where;
  work.run = [to, where, staged = std::vector<std::byte>(begin, begin + bytes)] {
    copy_access(to, staged.size(), Access::write, where);
    std::memcpy(kernel_view(to), staged.data(), staged.size());
  };
  push(std::move(work));
}

void Stream::fill(void* to, int byte, size_t bytes, Where where) {
  if (!bytes) return;
  Work work;
  work.where = where;
  work.run = [=] {
    copy_access(to, bytes, Access::write, where);
    std::memset(kernel_view(to), byte, bytes);
  };
  push(std::move(work));
}

void Stream::renew(void* p, size_t bytes, Where where) {
  Work work;
  work.where = where;
  work.run = [=] { device_renew(p, bytes); };
  push(std::move(work));
}

void Stream::call(std::function<void()> f, Where where) {
  Work work;
  work.where = where;
  work.run = std::move(f);
  push(std::move(work));
}

void Stream::release(void* p) {
  if (!p) return;
  if (capturing_) {
    capturing_->memory.emplace_back(p, [](void* block) { device_release(block); });
    return;
  }
  Work work;
  work.run = [p] { device_release(p); };
  work.releases = true;
  push(std::move(work));
}

Event Stream::record() const {
  check(!capturing_, "cuda-host: an event of a stream that is being captured");
  return {const_cast<Stream*>(this), clock_.reached[size_t(slot_)], clock_};
}

void Stream::wait(const Event& event, Where where) {
  check(!capturing_, "cuda-host: a wait on a stream that is being captured");
  clock_.join(event.clock);
  Work work;
  work.where = where;
  work.run = [event] { event.stream->run_to(event.place); };
  push(std::move(work));
}

void Stream::carry_out(const Work& work, const Clock& clock) {
  if (work.releases) return work.run();
  begin_launch(slot_, clock, work.where);
  work.launch ? run_launch(*work.launch) : work.run();
}

void Stream::run_to(uint64_t place) {
  while (done_ < place) {
    const Work work = std::move(queue_.front());
    queue_.pop_front();
    ++done_;
    try {
      carry_out(work, work.clock);
    } catch (...) {
      std::deque<Work> dropped;
      dropped.swap(queue_);
      done_ = clock_.reached[size_t(slot_)];
      for (const Work& rest : dropped)
        if (rest.releases) rest.run();
      throw;
    }
  }
}

void Stream::synchronize() {
  check(!capturing_, "cuda-host: a wait for a stream that is being captured");
  run_to(clock_.reached[size_t(slot_)]);
  host_clock.join(clock_);
}

void Stream::begin_capture() {
  check(!capturing_, "cuda-host: the stream is being captured already");
  capturing_.emplace();
}

Graph Stream::end_capture() {
  check(capturing_.has_value(), "cuda-host: the stream is not being captured");
  Graph graph = std::move(*capturing_);
  capturing_.reset();
  return graph;
}

void Stream::replay(const Graph& graph, Where where) {
  for (Work work : graph.work) push(std::move(work));
}

std::string difference(const Graph& captured, const Graph& now) {
  const size_t n = std::min(captured.work.size(), now.work.size());
  for (size_t i = 0; i < n; ++i) {
    const Work &a = captured.work[i], &b = now.work[i];
    const std::string which = at(b.where) + ": launch " + std::to_string(i) + " of the graph";
    if (a.launch.has_value() != b.launch.has_value() || (a.launch && a.launch->kernel != b.launch->kernel))
      return which + " is another one than was captured (at " + at(a.where) + ")";
    if (!a.launch) continue;
    const Launch &x = *a.launch, &y = *b.launch;
    if (std::memcmp(&x.grid, &y.grid, sizeof x.grid) || x.threads != y.threads ||
        x.shared_bytes != y.shared_bytes)
      return which + ": its grid was captured as another one";
    for (size_t byte = 0; byte < x.argument.size(); ++byte)
      if (x.argument[byte] != y.argument[byte])
        return which + ": byte " + std::to_string(byte / 4 * 4) +
               " of its argument is not what was captured: a replay keeps the "
               "old value, what changes must be read from device memory";
  }
  if (captured.work.size() != now.work.size())
    return (now.work.size() > n ? at(now.work[n].where)
            : n                 ? at(captured.work[n].where)
                                : std::string("graph")) +
           ": the graph has " + std::to_string(captured.work.size()) + " launches, the step " +
           std::to_string(now.work.size());
  return "";
}

Stream& current_stream() {
  static Stream* first = new Stream;  // never destroyed: tensors with static lifetime are released on it
  return chosen ? *chosen : *first;
}

StreamScope::StreamScope(Stream& stream) : before_(chosen) { chosen = &stream; }
StreamScope::~StreamScope() { chosen = before_; }

void synchronize_device() {
  current_stream();
  for (Slot& slot : slots())
    if (slot.stream) slot.stream->synchronize();
}

}  // namespace engine::standin
