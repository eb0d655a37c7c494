// Read first: scalars_in_memory.h.
#include "engine/ops/scalars_in_memory.h"

#include <cstddef>

namespace engine {

static_assert(offsetof(StepScalars, loss_scale) == 8 && offsetof(StepScalars, nats) == 16 &&
              offsetof(StepScalars, scored) == 24 && offsetof(StepScalars, auxiliary_scale) == 32 &&
              sizeof(StepScalars) % 8 == 0);

ScalarsInMemory::ScalarsInMemory(Device device, const StepScalars& values)
    : memory_(Tensor::empty({int64_t(sizeof(StepScalars) / 8)}, DType::f64, device)) {
  memory_of(device).copy(memory_.raw(), &values, sizeof values, Transfer::from_host);
}

void ScalarsInMemory::set_rule(const StepScalars& values) const {
  constexpr size_t begin = offsetof(StepScalars, lr);
  memory_of(device()).copy(&memory()->lr, &values.lr, sizeof(StepScalars) - begin, Transfer::from_host);
}

StepScalars ScalarsInMemory::read() const {
  StepScalars values;
  memory_of(device()).copy(&values, memory_.raw(), sizeof values, Transfer::to_host);
  return values;
}

}  // namespace engine
