// StepScalars where a model computes, and what the host writes and reads of them. Read first: step_scalars.h.
#pragma once

#include "engine/core/tensor.h"
#include "engine/ops/step_scalars.h"

namespace engine {

class ScalarsInMemory {
 public:
  explicit ScalarsInMemory(Device device, const StepScalars& values = {});

  Device device() const { return memory_.device(); }
  /// For kernels: device memory.
  StepScalars* memory() const { return static_cast<StepScalars*>(memory_.raw()); }
  /// Sets one of them, in order with the device's work, without waiting.
  template <class T>
  void set(T StepScalars::*member, T value) const {
    memory_of(device()).copy(&(memory()->*member), &value, sizeof value, Transfer::from_host);
  }
  /// Writes the members that the host decides before the optimizer runs: from lr on.
  void set_rule(const StepScalars& values) const;
  /// All of them. Waits for the device.
  StepScalars read() const;

  /// f64 tensors on the same memory: nats [], {nats, scored} [2], loss_scale [], auxiliary_scale [].
  Tensor nats() const { return memory_.slice(0, 2, 3).reshape({}); }
  Tensor sums() const { return memory_.slice(0, 2, 4); }
  Tensor loss_scale() const { return memory_.slice(0, 1, 2).reshape({}); }
  Tensor auxiliary_scale() const { return memory_.slice(0, 4, 5).reshape({}); }

 private:
  Tensor memory_;  // f64, an element a member
};

}  // namespace engine
