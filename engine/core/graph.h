// A step that is recorded once and then replayed: kernels, copies and fills with the arguments that they had.
//
// On a GPU a replay is one call where the step was hundreds. What a replay should see anew must lie in memory
// whose address stays: a number that is a kernel's argument keeps the value of the recording, and so does a
// copy from the host, which is therefore refused while recording (memory.h). The memory that the step asks
// for while it is recorded stays reserved (allocator.h): for it, or for all steps that share it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "engine/core/allocator.h"

namespace engine {

/// What a backend offers for it.
struct DeviceGraphs {
  void (*begin)();                    // from here on work is noted and not done
  void* (*end)();                     // the graph of what was noted
  void (*abandon)();                  // ends the recording of a step that failed
  void (*replay)(const void* graph);  // in order with the device's other work
  void (*destroy)(void* graph);
  /// How the second graph differs from the first; "" when a replay of the first does what the second would.
  /// Null: the backend cannot say.
  std::string (*difference)(const void* recorded, const void* now);
};
/// Null: the device records nothing.
const DeviceGraphs* graphs_of(Device device);
void set_device_graphs(Device device, const DeviceGraphs& graphs);

class StepGraph {
 public:
  /// Records what `step` asks of the device; none of it is done. `memory`, where given: of several graphs of
  /// which no two are replayed at a time. Error: the device cannot, the step reads or writes the host's
  /// memory, or keeps memory that it took.
  StepGraph(Device device, const std::function<void()>& step,
            std::shared_ptr<ReservedMemory> memory = nullptr);
  ~StepGraph();
  StepGraph(const StepGraph&) = delete;
  StepGraph& operator=(const StepGraph&) = delete;

  void replay() const;
  /// Records `step` again, and says how that differs from what is replayed: a launch more, other memory, or
  /// the argument that would be stale. "" when nothing does, or when the backend cannot say.
  std::string difference(const std::function<void()>& step);

 private:
  void* record(const std::function<void()>& step);

  const DeviceGraphs& graphs_;
  RecordedBlocks memory_;
  void* graph_ = nullptr;
};

}  // namespace engine
