// Read first: runtime.h.
#include "engine/cuda/real/runtime.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <sstream>
#include <utility>

#include "engine/base/check.h"
#include "engine/core/memory.h"
#include "engine/core/side_queue.h"

namespace engine::cuda {
namespace {

// Of pinned memory: a micro-step's batch is a dozen small copies, and those of the step before may not be
// done.
constexpr size_t kSlot = size_t(256) << 10, kSlots = 32;
constexpr unsigned kNonBlocking = 1, kWithoutTiming = 2, kPortable = 1;
constexpr int kRelaxed = 2;  // a recording forbids nothing to the thread, such as memory for its first run

constexpr const char* kInstead = "; take cuda-host, which runs the same kernels on the CPU, or cpu";

DevicePointer pointer(const void* p) { return DevicePointer(reinterpret_cast<uintptr_t>(p)); }

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

}  // namespace

bool runs_on(const std::string& architecture, int major, int minor) {
  const size_t digits = architecture.find_first_not_of("0123456789");
  const int number = std::stoi("0" + architecture.substr(0, digits));
  if (digits != std::string::npos) return number == 10 * major + minor;
  return number / 10 == major && number % 10 <= minor;
}

void Runtime::refuse(const std::string& what) const { fail("device cuda: ", what, kInstead); }

void Runtime::expect(int result, const char* what) const {
  if (result == kSuccess) [[likely]]
    return;
  const std::string text = join_text("device cuda: ", what, ": ", describe(driver_, result));
  if (is_lost(result))
    throw DeviceError(
        text + "; the GPU is lost to this process: look at nvidia-smi and the system's log, start again");
  fail(text);
}

void Runtime::enter() const {
  thread_local uint64_t entered = 0;
  if (entered == number_) return;
  expect(driver_.context_set_current(context_), "using the device on another thread");
  entered = number_;
}

Runtime::Runtime(const Options& options) : options_(options) {
  static std::atomic<uint64_t> opened = 0;
  number_ = ++opened;
  try {
    library_ = SharedLibrary(options.driver);
  } catch (const Error& e) {
    refuse(join_text("no NVIDIA driver: ", e.what()));
  }
  try {
    driver_ = find_driver(library_);
  } catch (const Error& e) {
    refuse(e.what());
  }
  open();
}

void Runtime::open() {
  const int started = driver_.init(0);
  if (started == kNoDevice) refuse("the driver finds no GPU");
  if (started == kStub) refuse(library_.path() + " is a stub for linking, not a driver");
  if (started != kSuccess) refuse("the driver does not start (" + describe(driver_, started) + ")");
  int version = 0, count = 0, major = 0, minor = 0;
  expect(driver_.driver_version(&version), "asking for the driver's version");
  if (version < options_.version / 1000 * 1000)
    refuse(join_text("the driver runs programs up to CUDA ", version_text(version), ", this one is of CUDA ",
                     version_text(options_.version), ": a newer driver is needed"));
  expect(driver_.device_count(&count), "counting devices");
  if (count == 0) refuse("the driver finds no GPU");
  expect(driver_.device_get(&device_, device_place() % count), "opening a device");
  char name[256] = "";
  expect(driver_.device_name(name, sizeof name, device_), "asking for the device's name");
  name_ = name;
  expect(driver_.device_attribute(&major, kMajor, device_), "asking for the device's capability");
  expect(driver_.device_attribute(&minor, kMinor, device_), "asking for the device's capability");
  std::istringstream all(options_.architectures);
  bool runs = false;
  for (std::string one; std::getline(all, one, ',');) runs = runs || runs_on(one, major, minor);
  if (!runs)
    refuse(join_text("the ", name_, " has compute capability ", major, ".", minor,
                     ", this build has kernels for ", options_.architectures,
                     major < 8 ? ", and none can be built for a capability below 8.0"
                               : ": build with -DENGINE_CUDA_ARCHS=" + std::to_string(10 * major + minor)));
  expect(driver_.context_retain(&context_, device_), "opening the device");
  enter();
  expect(driver_.stream_create(&stream_, kNonBlocking), "making a stream");
  slots_.resize(kSlots);
  for (Slot& slot : slots_) {
    expect(driver_.pinned_allocate(&slot.memory, kSlot, kPortable), "taking pinned memory");
    expect(driver_.event_create(&slot.event, kWithoutTiming), "making an event");
  }
}

Runtime::~Runtime() {
  if (!stream_) return;
  driver_.context_set_current(context_);
  driver_.stream_synchronize(stream_);
  for (Slot& slot : slots_) {
    if (slot.event) driver_.event_destroy(slot.event);
    if (slot.memory) driver_.pinned_free(slot.memory);
  }
  if (side_) {
    driver_.stream_synchronize(side_);
    spare_events_.insert(spare_events_.end(), side_reached_.begin(), side_reached_.end());
    spare_events_.push_back(main_reached_);
    for (const Handle event : spare_events_) driver_.event_destroy(event);
    driver_.stream_destroy(side_);
  }
  driver_.stream_destroy(stream_);
}

// ------------------------------------------------------------------------------------------------ memory

void* Runtime::allocate(size_t bytes) {
  enter();
  DevicePointer p = 0;
  const int result = driver_.memory_allocate(&p, bytes);
  if (result == kOutOfMemory) return nullptr;
  expect(result, "allocating memory");
  return reinterpret_cast<void*>(uintptr_t(p));
}

void Runtime::release(void* block) {
  enter();
  expect(driver_.memory_free(pointer(block)), "giving memory back");
}

size_t Runtime::available() const {
  enter();
  size_t free = 0, total = 0;
  expect(driver_.memory_info(&free, &total), "asking for free memory");
  return free / size_t(device_sharers());
}

std::string Runtime::identity() const {
  DeviceId id{};
  expect(driver_.device_id(&id, device_), "asking for the device's identity");
  return std::string(id.bytes, sizeof id.bytes);
}

void Runtime::fill(void* to, int byte, size_t bytes) {
  if (bytes == 0) return;
  enter();
  expect(driver_.fill(pointer(to), uint8_t(byte), bytes, stream_), "filling memory");
}

void Runtime::copy_within(void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  enter();
  expect(driver_.copy(pointer(to), pointer(from), bytes, stream_), "copying");
}

Runtime::Slot& Runtime::next_slot() {
  Slot& slot = slots_[slot_];
  slot_ = (slot_ + 1) % slots_.size();
  if (slot.used) expect(driver_.event_synchronize(slot.event), "waiting for a copy");
  slot.used = true;
  return slot;
}

void Runtime::upload(void* to, const void* from, size_t bytes) {
  check(!capturing_,
        "device cuda: a copy from the host inside a recorded step: a replay would copy the same again");
  enter();
  for (size_t at = 0; at < bytes; at += kSlot) {
    const size_t n = std::min(kSlot, bytes - at);
    Slot& slot = next_slot();
    std::memcpy(slot.memory, static_cast<const char*>(from) + at, n);
    expect(driver_.copy(pointer(to) + at, pointer(slot.memory), n, stream_), "copying to the device");
    expect(driver_.event_record(slot.event, stream_), "recording an event");
  }
}

void Runtime::download(void* to, const void* from, size_t bytes) {
  check(!capturing_, "device cuda: a copy to the host inside a recorded step");
  enter();
  // All slots are on their way before the first is waited for.
  for (size_t begin = 0; begin < bytes; begin += kSlot * kSlots) {
    const size_t end = std::min(bytes, begin + kSlot * kSlots);
    std::vector<Slot*> filled;
    for (size_t at = begin; at < end; at += kSlot) {
      Slot& slot = next_slot();
      expect(driver_.copy(pointer(slot.memory), pointer(from) + at, std::min(kSlot, end - at), stream_),
             "copying from the device");
      expect(driver_.event_record(slot.event, stream_), "recording an event");
      filled.push_back(&slot);
    }
    for (size_t i = 0; i < filled.size(); ++i) {
      expect(driver_.event_synchronize(filled[i]->event), "waiting for the device");
      const size_t at = begin + i * kSlot;
      std::memcpy(static_cast<char*>(to) + at, filled[i]->memory, std::min(kSlot, end - at));
    }
  }
  note_host_wait(Device::cuda);
}

void Runtime::synchronize() {
  enter();
  note_host_wait(Device::cuda);
  expect(driver_.context_synchronize(), "waiting for the device");
}

// ------------------------------------------------------------------------------------------------ the second
// stream

Handle Runtime::begin_side() {
  check(!capturing_ && !on_side_, "device cuda: a collective inside a recorded step, or inside another one");
  enter();
  if (!side_) {
    expect(driver_.stream_create(&side_, kNonBlocking), "making a stream");
    expect(driver_.event_create(&main_reached_, kWithoutTiming), "making an event");
  }
  expect(driver_.event_record(main_reached_, stream_), "recording an event");
  expect(driver_.stream_wait(side_, main_reached_, 0), "ordering two streams");
  std::swap(stream_, side_);
  on_side_ = true;
  return stream_;
}

int64_t Runtime::end_side() {
  Handle event = nullptr;
  if (spare_events_.empty()) {
    expect(driver_.event_create(&event, kWithoutTiming), "making an event");
  } else {
    event = spare_events_.back();
    spare_events_.pop_back();
  }
  expect(driver_.event_record(event, stream_), "recording an event");
  side_reached_.push_back(event);
  std::swap(stream_, side_);
  on_side_ = false;
  return side_first_ + int64_t(side_reached_.size()) - 1;
}

bool Runtime::side_done(int64_t place) {
  if (place < side_first_) return true;
  enter();
  const int result = driver_.event_query(side_reached_[size_t(place - side_first_)]);
  if (result == kNotReady) return false;
  expect(result, "a collective");
  for (; side_first_ <= place; ++side_first_) {
    spare_events_.push_back(side_reached_.front());
    side_reached_.pop_front();
  }
  return true;
}

// ------------------------------------------------------------------------------------------------ graphs

void Runtime::begin_capture() {
  check(!capturing_, "device cuda: a step is recorded inside another one");
  enter();
  expect(driver_.capture_begin(stream_, kRelaxed), "recording a step");
  capturing_ = true;
}

void* Runtime::end_capture() {
  capturing_ = false;
  Handle graph = nullptr, executable = nullptr;
  expect(driver_.capture_end(stream_, &graph), "recording a step");
  const int result = driver_.graph_instantiate(&executable, graph, 0);
  driver_.graph_destroy(graph);
  expect(result, "making a graph of a recorded step");
  return executable;
}

void Runtime::abandon_capture() {
  capturing_ = false;
  Handle graph = nullptr;
  driver_.capture_end(stream_, &graph);  // invalidated or not: the recording is over
  if (graph) driver_.graph_destroy(graph);
}

void Runtime::replay(const void* executable) {
  enter();
  expect(driver_.executable_launch(const_cast<void*>(executable), stream_), "replaying a step");
}

void Runtime::destroy_graph(void* executable) {
  enter();
  driver_.executable_destroy(executable);
}

}  // namespace engine::cuda
