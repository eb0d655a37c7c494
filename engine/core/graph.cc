// Read first: graph.h.
#include "engine/core/graph.h"

#include <array>
#include <optional>
#include <utility>

#include "engine/base/check.h"

namespace engine {
namespace {

// A function's own, because a backend may hand its table in before this file's statics are made.
std::array<std::optional<DeviceGraphs>, kDevices>& table() {
  static std::array<std::optional<DeviceGraphs>, kDevices> graphs;
  return graphs;
}

const DeviceGraphs& required(Device device) {
  const DeviceGraphs* graphs = graphs_of(device);
  check(graphs != nullptr, "device ", device, " records no graphs");
  return *graphs;
}

}  // namespace

const DeviceGraphs* graphs_of(Device device) {
  const auto& graphs = table()[size_t(device)];
  return graphs ? &*graphs : nullptr;
}
void set_device_graphs(Device device, const DeviceGraphs& graphs) { table()[size_t(device)] = graphs; }

StepGraph::StepGraph(Device device, const std::function<void()>& step, std::shared_ptr<ReservedMemory> memory)
    : graphs_(required(device)),
      memory_(memory ? std::move(memory) : std::make_shared<ReservedMemory>(device)) {
  trim_memory(
      device);  // what is cached could not serve the step; giving it back while recording could end it
  graph_ = record(step);
}

StepGraph::~StepGraph() { graphs_.destroy(graph_); }

void StepGraph::replay() const { graphs_.replay(graph_); }

std::string StepGraph::difference(const std::function<void()>& step) {
  if (!graphs_.difference) return "";
  void* now = nullptr;
  try {
    now = record(step);
  } catch (const Error& e) {
    return e.what();
  }
  const std::string text = graphs_.difference(graph_, now);
  graphs_.destroy(now);
  return text;
}

void* StepGraph::record(const std::function<void()>& step) {
  graphs_.begin();
  try {
    const RecordedBlocks::Scope scope(memory_);
    step();
    check(memory_.taken() == 0, "a recorded step keeps ", memory_.taken(),
          " blocks of memory that it took: every replay would overwrite them");
  } catch (...) {
    graphs_.abandon();
    throw;
  }
  return graphs_.end();
}

}  // namespace engine
