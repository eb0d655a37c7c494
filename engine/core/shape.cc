// Read first: shape.h.
#include "engine/core/shape.h"

#include <algorithm>

#include "engine/base/check.h"

namespace engine {

Shape::Shape(std::initializer_list<int64_t> sizes) {
  for (int64_t size : sizes) append(size);
}
Shape::Shape(const std::vector<int64_t>& sizes) {
  for (int64_t size : sizes) append(size);
}

void Shape::append(int64_t size) {
  check(rank_ < kMaxRank, "shape: more than ", kMaxRank, " axes");
  sizes_[rank_++] = size;
}

Shape Shape::leading() const {
  Shape out = *this;
  if (out.rank_ > 0) --out.rank_;
  return out;
}

int64_t Shape::numel() const {
  for (int64_t size : *this) check(size >= 0, "shape ", *this, " has a negative size");
  if (std::find(begin(), end(), 0) != end()) return 0;
  int64_t n = 1;
  for (int64_t size : *this) {
    check(n <= (int64_t(1) << 62) / size, "shape ", *this, " has too many elements");
    n *= size;
  }
  return n;
}

bool Shape::operator==(const Shape& other) const {
  return rank_ == other.rank_ && std::equal(begin(), end(), other.begin());
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  out << "[";
  for (int i = 0; i < shape.rank(); ++i) out << (i ? ", " : "") << shape[i];
  return out << "]";
}

}  // namespace engine
