// Read first: unit.h.
#include "engine/autograd/unit.h"

#include <mutex>

namespace engine {
namespace {

struct Units {
  std::mutex mutex;
  Tensor one[kDevices][4];  // by floating dtype
};
Units& units() {
  static Units* const all = new Units;  // never destroyed: devices may be closed before it
  return *all;
}

}  // namespace

Tensor unit_gradient(DType dtype, Device device) {
  check(is_float(dtype), "a gradient of dtype ", dtype);
  Units& u = units();
  const std::lock_guard lock(u.mutex);
  Tensor& one = u.one[int(device)][int(dtype)];
  if (!one.defined()) one = Tensor::full({}, 1, dtype, device);
  return one;
}

}  // namespace engine
