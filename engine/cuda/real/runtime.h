// An opened GPU: its context, the stream that everything runs on, memory, pinned memory for what goes to and
// comes from the host, and recorded steps. What the rest of the engine sees of it is core's tables (memory.h,
// graph.h), which register.cc fills.
//
// One stream carries kernels, copies and fills, so that memory which is given back may be handed out again at
// once: whoever gets it comes later on the same stream. A second stream, for collectives, waits for events of
// the first and touches memory that is never given back. Read first: driver.h.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "engine/cuda/real/driver.h"

namespace engine::cuda {

/// Where the libraries are, and what the kernels of this build run on.
struct Options {
  std::vector<std::string> driver = {"libcuda.so.1"};
  std::vector<std::string> cublaslt = {"libcublasLt.so.13"};
  std::string architectures;  // "80,86,90a": compute capabilities as nvcc names them
  int version = 13000;        // of CUDA, 1000 major + 10 minor
};

/// Whether kernels that nvcc compiled for `architecture` ("86", "90a") run on a device of capability
/// major.minor: the same major, no higher minor; of the kind with a letter, that very capability.
bool runs_on(const std::string& architecture, int major, int minor);

class Runtime {
 public:
  /// Opens the first device. Error of one line: there is no driver, no device, the driver or the device is
  /// too old for this build; says what there is and what to do.
  explicit Runtime(const Options& options);
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  const std::string& device_name() const { return name_; }
  const Options& options() const { return options_; }
  /// What work goes to. For the calling thread, whose context the device's is from here on: cudart launches
  /// on the device that it finds current.
  Handle stream() const {
    enter();
    return stream_;
  }
  /// The device's UUID, that of its part where a GPU is divided: 16 bytes.
  std::string identity() const;
  bool capturing() const { return capturing_; }

  /// Null when the device has no more.
  void* allocate(size_t bytes);
  void release(void* block);
  /// Bytes that are free, by how many processes have the device (device_sharers()).
  size_t available() const;

  // In order with the stream's work; DeviceError: the device is lost.
  void fill(void* to, int byte, size_t bytes);
  void copy_within(void* to, const void* from, size_t bytes);
  /// The source may change as soon as the call returns: it passes through pinned memory.
  void upload(void* to, const void* from, size_t bytes);
  /// Done when it returns: the host waits.
  void download(void* to, const void* from, size_t bytes);
  void synchronize();

  // Steps: from begin_capture() to end_capture() work is noted and not done.
  void begin_capture();
  void* end_capture();
  void abandon_capture();
  void replay(const void* executable);
  void destroy_graph(void* executable);

  // The second stream (core/side_queue.h): between the two calls stream() is that one.
  Handle begin_side();
  int64_t end_side();
  bool side_done(int64_t place);

  /// What a call answered; nothing when that is success. DeviceError: the device is lost. Error: it refused.
  void expect(int result, const char* what) const;
  /// Makes the context the calling thread's.
  void enter() const;

 private:
  // A piece of pinned memory, and the event behind the last copy that read it.
  struct Slot {
    void* memory = nullptr;
    Handle event = nullptr;
    bool used = false;
  };
  void open();
  Slot& next_slot();
  [[noreturn]] void refuse(const std::string& what) const;

  Options options_;
  SharedLibrary library_;
  Driver driver_{};
  int device_ = 0;
  std::string name_;
  Handle context_ = nullptr, stream_ = nullptr;
  std::vector<Slot> slots_;
  size_t slot_ = 0;
  Handle side_ = nullptr, main_reached_ = nullptr;  // made when the first collective begins
  bool on_side_ = false;
  std::deque<Handle> side_reached_;  // an event at each place from side_first_ on
  int64_t side_first_ = 0;
  std::vector<Handle> spare_events_;
  bool capturing_ = false;
  uint64_t number_ = 0;  // of all that were opened: tells threads which one's context they have
};

/// The process's device, opened when it is first asked for. Error: as Runtime's; the same again every time.
Runtime& runtime();
/// For tests: what runtime() opens from now on; the one in use is closed.
void set_runtime_options(const Options& options);

}  // namespace engine::cuda
