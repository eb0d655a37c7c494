// Read first: tensor.h.
#include "engine/core/tensor.h"

#include <algorithm>

namespace engine {

Storage::Storage(size_t n, Device d, Contents contents)
    : data(allocate(d, n, contents)), bytes(n), device(d) {}
Storage::~Storage() { release(device, data, bytes); }

Shape contiguous_strides(const Shape& shape) {
  Shape strides = shape;
  int64_t stride = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    strides[axis] = stride;
    // Unsigned, because it may wrap where an axis of size 0 lets the others be as large as they like.
    stride = int64_t(uint64_t(stride) * uint64_t(std::max<int64_t>(shape[axis], 1)));
  }
  return strides;
}

Tensor Tensor::allocated(const Shape& shape, DType dtype, Device device, Contents contents) {
  Tensor t;
  t.shape_ = shape;
  t.strides_ = contiguous_strides(shape);
  t.numel_ = shape.numel();
  t.dtype_ = dtype;
  check(t.numel_ < (int64_t(1) << 59), "tensor ", shape, " is too large");
  t.storage_ = std::make_shared<Storage>(size_t(t.numel_ * size_of(dtype)), device, contents);
  return t;
}

Tensor Tensor::empty(const Shape& shape, DType dtype, Device device) {
  return allocated(shape, dtype, device, Contents::any);
}
Tensor Tensor::zeros(const Shape& shape, DType dtype, Device device) {
  return allocated(shape, dtype, device, Contents::zeros);
}

Tensor Tensor::full(const Shape& shape, double value, DType dtype, Device device) {
  Tensor t = empty(shape, dtype, device);
  t.fill(value);
  return t;
}

namespace {

// Calls f(T{}) with the C++ type of any dtype.
template <class F>
void visit(DType dtype, F f) {
  switch (dtype) {
    case DType::i32: return f(int32_t{});
    case DType::i64: return f(int64_t{});
    case DType::u8: return f(uint8_t{});
    default: visit_float(dtype, f);
  }
}

// Elements [begin, begin + n) of any dtype, as double.
void load_elements(const void* base, DType dtype, int64_t begin, int64_t n, double* to) {
  visit(dtype, [&](auto element) {
    using T = decltype(element);
    const T* from = static_cast<const T*>(base) + begin;
    for (int64_t i = 0; i < n; ++i) {
      if constexpr (std::is_arithmetic_v<T>)
        to[i] = double(from[i]);
      else
        to[i] = widen(from[i]);
    }
  });
}
void store_elements(void* base, DType dtype, int64_t begin, int64_t n, const double* from) {
  visit(dtype, [&](auto element) {
    using T = decltype(element);
    T* to = static_cast<T*>(base) + begin;
    for (int64_t i = 0; i < n; ++i) {
      if constexpr (std::is_arithmetic_v<T>)
        to[i] = T(from[i]);
      else
        to[i] = narrow<T>(from[i]);
    }
  });
}

// Calls f(i, offset) for every element in row-major order, offset in elements by the strides.
template <class F>
void each_element(const Shape& shape, const Shape& strides, F f) {
  const int64_t n = shape.numel();
  int64_t index[kMaxRank] = {}, offset = 0;
  for (int64_t i = 0; i < n; ++i) {
    f(i, offset);
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      offset += strides[axis];
      if (++index[axis] < shape[axis]) break;
      offset -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
}

}  // namespace

Tensor Tensor::from(const std::vector<double>& values, const Shape& shape, DType dtype) {
  check(int64_t(values.size()) == shape.numel(), "tensor ", shape, " needs ", shape.numel(), " values, got ",
        values.size());
  Tensor t = empty(shape, dtype);
  store_elements(t.raw(), dtype, 0, int64_t(values.size()), values.data());
  return t;
}

Tensor Tensor::from_ids(const std::vector<int32_t>& ids, const Shape& shape) {
  check(int64_t(ids.size()) == shape.numel(), "tensor ", shape, " needs ", shape.numel(), " ids, got ",
        ids.size());
  Tensor t = empty(shape, DType::i32);
  std::copy(ids.begin(), ids.end(), t.data<int32_t>());
  return t;
}

bool Tensor::is_contiguous() const {
  if (numel_ == 0) return true;
  int64_t expected = 1;
  for (int axis = rank() - 1; axis >= 0; --axis) {
    if (shape_[axis] != 1 && strides_[axis] != expected) return false;
    expected *= shape_[axis];
  }
  return true;
}

bool Tensor::has_uniform_rows() const {
  if (is_contiguous()) return true;
  if (rank() == 0 || (shape_.back() != 1 && strides_.back() != 1)) return false;
  int64_t expected = -1;  // the stride that the next axis to the left must have
  for (int axis = rank() - 2; axis >= 0; --axis) {
    if (shape_[axis] == 1) continue;
    if (expected >= 0 && strides_[axis] != expected) return false;
    expected = strides_[axis] * shape_[axis];
  }
  return true;
}

int64_t Tensor::row_stride() const {
  for (int axis = rank() - 2; axis >= 0; --axis)
    if (shape_[axis] != 1) return strides_[axis];
  return rank() == 0 ? 1 : shape_.back();
}

std::vector<double> Tensor::to_vector() const {
  if (device() != Device::cpu) return to(Device::cpu).to_vector();
  std::vector<double> out(static_cast<size_t>(numel_));
  if (is_contiguous())
    load_elements(raw(), dtype_, 0, numel_, out.data());
  else
    each_element(shape_, strides_, [&](int64_t i, int64_t offset) {
      load_elements(raw(), dtype_, offset, 1, &out[size_t(i)]);
    });
  return out;
}

double Tensor::item() const {
  check(numel_ == 1, "item: needs a tensor of one element, got ", shape_);
  return to_vector()[0];
}

Tensor Tensor::reshape(const Shape& shape) const {
  check(shape.numel() == numel_, "reshape: ", shape_, " has ", numel_, " elements, ", shape, " has ",
        shape.numel());
  check(is_contiguous(), "reshape: needs a contiguous tensor, got ", shape_, " with strides ", strides_);
  Tensor t = detach();
  t.shape_ = shape;
  t.strides_ = contiguous_strides(shape);
  return t;
}

Tensor Tensor::slice(int axis, int64_t begin, int64_t end) const {
  const int a = axis < 0 ? axis + rank() : axis;
  check(a >= 0 && a < rank(), "slice: axis ", axis, " of ", shape_);
  check(0 <= begin && begin <= end && end <= shape_[a], "slice: [", begin, ", ", end, ") of axis ", a, " of ",
        shape_);
  Tensor t = detach();
  t.offset_ += begin * strides_[a];
  t.shape_[a] = end - begin;
  t.numel_ = t.shape_.numel();
  return t;
}

Tensor Tensor::transpose(int a, int b) const {
  const int i = a < 0 ? a + rank() : a, j = b < 0 ? b + rank() : b;
  check(i >= 0 && i < rank() && j >= 0 && j < rank(), "transpose: axes ", a, " and ", b, " of ", shape_);
  Tensor t = detach();
  std::swap(t.shape_[i], t.shape_[j]);
  std::swap(t.strides_[i], t.strides_[j]);
  return t;
}

Tensor Tensor::strided(const Shape& shape, const Shape& strides, int64_t offset) const {
  assert(shape.rank() == strides.rank());
  Tensor t = detach();
  t.offset_ += offset;
  t.shape_ = shape;
  t.strides_ = strides;
  t.numel_ = shape.numel();
  return t;
}

Tensor Tensor::detach() const {
  Tensor t = *this;
  t.slot = {};
  return t;
}

Tensor Tensor::to(Device device) const {
  if (!defined() || device == this->device()) return *this;
  int64_t span = numel_ > 0;  // elements from the first to the last
  for (int axis = 0; axis < rank() && numel_ > 0; ++axis) span += (shape_[axis] - 1) * strides_[axis];
  Tensor t = *this;
  t.slot = {};
  t.offset_ = 0;
  t.storage_ = std::make_shared<Storage>(size_t(span * size_of(dtype_)), device, Contents::any);
  const void* from = raw();
  void* to = t.raw();
  const size_t bytes = size_t(span * size_of(dtype_));
  if (this->device() == Device::cpu)
    memory_of(device).copy(to, from, bytes, Transfer::from_host);
  else if (device == Device::cpu)
    memory_of(this->device()).copy(to, from, bytes, Transfer::to_host);
  else
    return this->to(Device::cpu).to(device);
  return t;
}

void Tensor::fill(double value) const {
  check(is_contiguous(), "fill: needs a contiguous tensor, got ", shape_);
  ++storage_->version;
  if (value == 0) return memory_of(device()).fill(raw(), 0, size_t(bytes()));
  if (device() != Device::cpu) {
    const Tensor host = full(shape_, value, dtype_, Device::cpu);
    return memory_of(device()).copy(raw(), host.raw(), size_t(bytes()), Transfer::from_host);
  }
  for (int64_t i = 0; i < numel_; ++i) store_elements(raw(), dtype_, i, 1, &value);
}

}  // namespace engine
