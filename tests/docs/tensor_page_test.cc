// The code of docs/01-tensor.md and the answers to its exercises. book_test.py compares the page with this
// file.
#include <catch2/catch.hpp>
#include <cmath>

#include "engine/core/arena.h"
#include "engine/ops/view.h"

using namespace engine;

TEST_CASE("page 1: a tensor is a handle") {
  Tensor x = Tensor::from({1, 2, 3, 4, 5, 6}, {2, 3}, DType::f32);
  Tensor same = x;                    // the same elements
  Tensor row = x.slice(0, 1, 2);      // [1, 3]: elements 4 5 6, not copied
  Tensor turned = x.transpose(0, 1);  // [3, 2], strides {1, 3}
  row.fill(0);
  CHECK(same.to_vector() == std::vector<double>{1, 2, 3, 0, 0, 0});
  CHECK(turned.to_vector() == std::vector<double>{1, 0, 2, 0, 3, 0});
}

TEST_CASE("page 1: strides") {
  const Tensor qkv = Tensor::zeros({8, 128, 3 * 768}, DType::f32);
  const Tensor k = qkv.slice(-1, 768, 1536);  // [8, 128, 768]
  CHECK(!k.is_contiguous());
  CHECK(k.has_uniform_rows());       // rows of 768 neighbours ...
  CHECK(k.row_stride() == 3 * 768);  // ... at one distance
  const Tensor own = contiguous(k);  // copies; k itself where k is contiguous
  CHECK(own.is_contiguous());
}

TEST_CASE("page 1: 16 bits are storage") {
  const Tensor x = Tensor::from({1.0009765625}, {1}, DType::f32);  // 1 + 2^-10
  const Tensor half = Tensor::empty({1}, DType::f16), brain = Tensor::empty({1}, DType::bf16);
  half.copy_from(x);
  brain.copy_from(x);
  CHECK(half.item() == 1.0009765625);  // 10 bits of mantissa
  CHECK(brain.item() == 1);            // 7 bits
}

TEST_CASE("page 1: an arena is one long vector") {
  const Arena values(2 * kArenaAlignment, DType::f32, Device::cpu);
  const Tensor weight = values.slice(0, {4, 8}), bias = values.slice(kArenaAlignment, {4});
  values.flat().fill(0.5);  // an optimizer walks all parameters at once
  CHECK(weight.to_vector()[31] == 0.5);
  CHECK(bias.to_vector()[3] == 0.5);
}

TEST_CASE("page 1: errors name the op, the values and the rule") {
  const Tensor x = Tensor::zeros({2, 3}, DType::f32);
  CHECK_THROWS_WITH(x.reshape({4}), "reshape: [2, 3] has 6 elements, [4] has 4");
  CHECK_THROWS_WITH(x.slice(1, 2, 5), "slice: [2, 5) of axis 1 of [2, 3]");
}

TEST_CASE("exercise 1.1: a transposed slice") {
  const Tensor x = Tensor::zeros({4, 6}, DType::f32);
  const Tensor y = x.slice(0, 1, 3).transpose(0, 1);
  CHECK(y.shape() == Shape{6, 2});
  CHECK((y.stride(0) == 1 && y.stride(1) == 6 && y.offset() == 6));
}

TEST_CASE("exercise 1.2: what no handle describes") {
  const Tensor y = Tensor::zeros({4, 6}, DType::f32).slice(0, 1, 3).transpose(0, 1);
  CHECK_THROWS_AS(y.reshape({12}), Error);
  CHECK(contiguous(y).reshape({12}).shape() == Shape{12});
}

TEST_CASE("exercise 1.3: uniform rows") {
  const Tensor x = Tensor::zeros({4, 6}, DType::f32), z = Tensor::zeros({2, 4, 6}, DType::f32);
  CHECK(x.slice(1, 2, 5).has_uniform_rows());
  CHECK(!x.transpose(0, 1).has_uniform_rows());
  CHECK(!z.slice(1, 0, 3).has_uniform_rows());
}

TEST_CASE("exercise 1.4: two ways to have 16 bits") {
  const auto rounded = [](double value, DType dtype) {
    const Tensor to = Tensor::empty({1}, dtype);
    to.copy_from(Tensor::from({value}, {1}));
    return to.item();
  };
  CHECK(rounded(257, DType::f16) == 257);
  CHECK(rounded(257, DType::bf16) == 256);
  CHECK(std::isinf(rounded(70000, DType::f16)));
  CHECK(rounded(70000, DType::bf16) == 70144);
}

TEST_CASE("exercise 1.5: a view keeps the whole block") {
  const Tensor part = Tensor::zeros({1000000}, DType::f32).slice(0, 0, 10);
  CHECK(part.bytes() == 40);
  CHECK(part.storage()->bytes >= 4000000);
}
