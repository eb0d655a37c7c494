// A shape: up to six sizes, held in place so that making one never allocates.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <vector>

namespace engine {

constexpr int kMaxRank = 6;

class Shape {
 public:
  Shape() = default;  // rank 0: a scalar, one element
  Shape(std::initializer_list<int64_t> sizes);
  explicit Shape(const std::vector<int64_t>& sizes);

  int rank() const { return rank_; }
  int64_t operator[](int axis) const { return sizes_[axis]; }
  int64_t& operator[](int axis) { return sizes_[axis]; }
  /// Size of an axis; negative axes count from the end.
  int64_t at(int axis) const { return sizes_[axis < 0 ? axis + rank_ : axis]; }
  int64_t back() const { return sizes_[rank_ - 1]; }
  /// Number of elements. An Error when a size is negative or the product exceeds 2^62.
  int64_t numel() const;
  void append(int64_t size);
  /// The shape without its last axis.
  Shape leading() const;

  const int64_t* begin() const { return sizes_; }
  const int64_t* end() const { return sizes_ + rank_; }
  bool operator==(const Shape& other) const;

 private:
  int64_t sizes_[kMaxRank] = {};
  int rank_ = 0;
};

std::ostream& operator<<(std::ostream& out, const Shape& shape);  // [8, 128, 768]

}  // namespace engine
