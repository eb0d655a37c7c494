// Tensor: a handle to strided elements in shared storage. Copying a Tensor copies the handle, never the
// elements.
//
// It does no arithmetic and records nothing: functions in engine/ops do. The view methods here (slice,
// reshape, ...) are for code below the tape; code that wants gradients calls the functions of the same names
// in engine/ops/view.h. A Tensor carries {tape, slot}, two integers, by which the tape knows it
// (engine/autograd/tape.h).
#pragma once

#include <cassert>
#include <memory>
#include <vector>

#include "engine/core/allocator.h"
#include "engine/core/device.h"
#include "engine/core/dtype.h"
#include "engine/core/shape.h"

namespace engine {

/// A block of memory from the caching allocator. `version` counts overwrites after creation: the tape
/// compares it, so that a tensor saved for backward and then changed is noticed.
struct Storage {
  Storage(size_t bytes, Device device, Contents contents);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  void* data = nullptr;
  size_t bytes = 0;
  Device device = Device::cpu;
  uint32_t version = 0;
};

/// By which a tape knows a tensor: index into the gradient slots of the tape with this number; -1: not
/// recorded.
struct Slot {
  uint32_t tape = 0;
  int32_t index = -1;
};

class Tensor {
 public:
  Tensor() = default;  // undefined: no storage
  /// Uninitialised elements. In the boxes below models every call names its device
  /// (tests/lint/devices_test.cc), mostly by like().
  static Tensor empty(const Shape& shape, DType dtype, Device device = Device::cpu);
  static Tensor zeros(const Shape& shape, DType dtype, Device device = Device::cpu);
  static Tensor full(const Shape& shape, double value, DType dtype, Device device = Device::cpu);
  /// Uninitialised elements, or zeros, on this tensor's device.
  Tensor like(const Shape& shape, DType dtype, Contents contents = Contents::any) const {
    return allocated(shape, dtype, device(), contents);
  }
  /// Copies host values (cast to `dtype`) into a new contiguous tensor on the host.
  static Tensor from(const std::vector<double>& values, const Shape& shape, DType dtype = DType::f64);
  static Tensor from_ids(const std::vector<int32_t>& ids, const Shape& shape);

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  /// Size of an axis; negative axes count from the end.
  int64_t size(int axis) const { return shape_.at(axis); }
  int64_t stride(int axis) const { return strides_.at(axis); }  // in elements
  int64_t numel() const { return numel_; }
  int64_t bytes() const { return numel_ * size_of(dtype_); }
  DType dtype() const { return dtype_; }
  Device device() const { return storage_ ? storage_->device : Device::cpu; }
  bool is_contiguous() const;
  /// True when the elements are rows of the last axis, contiguous inside, at one constant distance
  /// row_stride().
  bool has_uniform_rows() const;
  int64_t row_stride() const;  // elements between rows; the last axis' size when there is at most one row

  void* raw() const { return static_cast<char*>(storage_->data) + offset_ * size_of(dtype_); }
  template <class T>
  T* data() const {
    assert(dtype_of<T>() == dtype_);
    return static_cast<T*>(raw());
  }
  /// All elements in row-major order, widened to double: for tests, messages and files. Waits for the device.
  std::vector<double> to_vector() const;
  /// The one element of a tensor of one element. Waits for the device.
  double item() const;
  /// The same elements on `device`, with the same strides; this tensor itself when it is there already.
  Tensor to(Device device) const;

  // Views: new handles on the same storage, without a slot.
  Tensor reshape(const Shape& shape) const;  // contiguous only
  Tensor slice(int axis, int64_t begin, int64_t end) const;
  Tensor transpose(int a, int b) const;
  Tensor strided(const Shape& shape, const Shape& strides,
                 int64_t offset) const;  // offset from this tensor's first element
  Tensor detach() const;                 // the same view without a slot

  // Overwrites: they count as such (Storage::version).
  void fill(double value) const;  // contiguous only
  /// These elements = those of `source`, or += them: the one copy there is. Equal shapes, any strides,
  /// devices and dtypes (floating ones to add). Defined beside the kernel that it runs,
  /// engine/kernel/copy.cc.
  void copy_from(const Tensor& source, bool accumulate = false) const;

  const std::shared_ptr<Storage>& storage() const { return storage_; }
  int64_t offset() const { return offset_; }
  Slot slot;

 private:
  static Tensor allocated(const Shape& shape, DType dtype, Device device, Contents contents);

  std::shared_ptr<Storage> storage_;
  int64_t offset_ = 0, numel_ = 0;
  Shape shape_, strides_;
  DType dtype_ = DType::f32;
};

/// Strides of a contiguous tensor.
Shape contiguous_strides(const Shape& shape);

}  // namespace engine
