// Read first: elementwise_kernels.h, engine/cpu/any.h.
#include "engine/ops/elementwise_kernels.h"

#include "engine/cpu/any.h"
#include "engine/cpu/dropout.h"
#include "engine/cpu/stream.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

// Calls f(offset of a, offset of b, index into y, n) for pieces of rows of the last axis, n <= kChunk.
template <class Args, class F>
ENGINE_INLINE void each_piece(const Args& a, F&& f) {
  int64_t rows = 1;
  for (int i = 0; i + 1 < a.rank; ++i) rows *= a.size[i];
  const int last = a.rank - 1;
  const int64_t n = a.size[last], pieces = (n + kGrain - 1) / kGrain, grain = n >= kGrain ? 1 : kGrain / n;
  parallel_chunks(rows * pieces, grain, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t row = task / pieces, first = task % pieces * kGrain;
      int64_t rest = row, at_a = 0, at_b = 0;
      for (int i = last - 1; i >= 0; --i) {
        const int64_t index = rest % a.size[i];
        rest /= a.size[i];
        at_a += index * a.a_stride[i], at_b += index * a.b_stride[i];
      }
      each_chunk(first, first + kGrain < n ? first + kGrain : n, [&](int64_t i, int64_t m) {
        f(at_a + i * a.a_stride[last], at_b + i * a.b_stride[last], row * n + i, m);
      });
    }
  });
}

template <class T>
ENGINE_INLINE void each_result(BinaryOp op, const T* a, const T* b, T* y, int64_t n, Delivery how) {
  const auto run = [&](auto f) __attribute__((always_inline)) {
    each_packet<Compute<T>>(n, [&](auto lane, int64_t i) {
      using L = decltype(lane);
      deliver_as(y + i, L(f(load_as<L>(a + i), load_as<L>(b + i))), how);
    });
  };
  switch (op) {
    case BinaryOp::add: return run([](auto p, auto q) { return simd::padd(p, q); });
    case BinaryOp::sub: return run([](auto p, auto q) { return simd::psub(p, q); });
    case BinaryOp::mul: return run([](auto p, auto q) { return simd::pmul(p, q); });
    case BinaryOp::div: return run([](auto p, auto q) { return simd::pdiv(p, q); });
  }
}

// Operands of one dtype, side by side in memory: what a large add is.
template <class T>
void forward_alike(const BinaryForward& args) {
  const int64_t n = args.size[0];
  const Delivery how = delivery(args.y, args.y_dtype, 1, n, n, false);
  parallel_chunks(n, kGrain, [&](int64_t begin, int64_t end) {
    each_result(args.op, static_cast<const T*>(args.a) + begin, static_cast<const T*>(args.b) + begin,
                static_cast<T*>(args.y) + begin, end - begin, how);
    end_of_stream(how);
  });
}

template <class C>
void forward(const BinaryForward& args) {
  if (args.rank == 1 && args.a_stride[0] == 1 && args.b_stride[0] == 1 && args.a_dtype == args.y_dtype &&
      args.b_dtype == args.y_dtype)
    return visit_float(args.y_dtype, [&](auto t) { forward_alike<decltype(t)>(args); });
  const int last = args.rank - 1;
  each_piece(args, [&](int64_t at_a, int64_t at_b, int64_t i, int64_t n) {
    C a_buffer[kChunk], b_buffer[kChunk], y_buffer[kChunk];
    const auto a = in(load_any(args.a, args.a_dtype, at_a, args.a_stride[last], n, a_buffer), n);
    const auto b = in(load_any(args.b, args.b_dtype, at_b, args.b_stride[last], n, b_buffer), n);
    C* values = target_any(args.y, args.y_dtype, i, false, y_buffer);
    auto y = out(values, n);
    switch (args.op) {
      case BinaryOp::add: y = a + b; break;
      case BinaryOp::sub: y = a - b; break;
      case BinaryOp::mul: y = a * b; break;
      case BinaryOp::div: y = a / b; break;
    }
    store_any(args.y, args.y_dtype, i, values, n, false);
  });
}

//   a + b: (dy, dy)    a - b: (dy, -dy)    a b: (dy b, dy a)    a / b: (dy / b, -dy a / b^2)
template <class C>
void backward(const BinaryBackward& args) {
  const int last = args.rank - 1;
  each_piece(args, [&](int64_t at_a, int64_t at_b, int64_t i, int64_t n) {
    C a_buffer[kChunk], b_buffer[kChunk], dy_buffer[kChunk], g_buffer[kChunk];
    const auto a = [&] {
      return in(load_any(args.a, args.a_dtype, at_a, args.a_stride[last], n, a_buffer), n);
    };
    const auto b = [&] {
      return in(load_any(args.b, args.b_dtype, at_b, args.b_stride[last], n, b_buffer), n);
    };
    const auto dy = in(load_any(args.dy, args.y_dtype, i, 1, n, dy_buffer), n);
    C* values = target_any(args.g, args.g_dtype, i, args.accumulate, g_buffer);
    auto g = out(values, n);
    switch (args.op) {
      case BinaryOp::add: g = dy; break;
      case BinaryOp::sub: args.of_a ? g = dy : g = -dy; break;
      case BinaryOp::mul: args.of_a ? g = dy * b() : g = dy * a(); break;
      case BinaryOp::div:
        if (args.of_a)
          g = dy / b();
        else {
          const auto divisor = b();
          g = -dy * (a() / divisor / divisor);  // their product could overflow
        }
        break;
    }
    store_any(args.g, args.g_dtype, i, values, n, args.accumulate);
  });
}

template <class C>
void square_roots(const C* x, C* y, int64_t n) {
  each_packet<C>(n, [&](auto lane, int64_t i) {
    simd::pstoreu(y + i, exact_sqrt(simd::ploadu<decltype(lane)>(x + i)));
  });
}

template <class C>
void unary(const UnaryForward& args) {
  const C factor = C(args.factor), offset = C(args.offset), inverse = C(1 / args.factor);
  parallel_chunks(args.n, kGrain, [&](int64_t begin, int64_t end) {
    each_chunk(begin, end, [&](int64_t i, int64_t n) {
      C x_buffer[kChunk], y_buffer[kChunk];
      const auto x = in(load_any(args.x, args.dtype, i, 1, n, x_buffer), n);
      C* values = target_any(args.y, args.dtype, i, false, y_buffer);
      auto y = out(values, n);
      switch (args.op) {
        case UnaryOp::affine: y = factor * x + offset; break;
        case UnaryOp::exp: y = x.exp(); break;
        case UnaryOp::log: y = x.log(); break;
        case UnaryOp::sqrt: square_roots(x.data(), values, n); break;
        case UnaryOp::square: y = x * x; break;
        case UnaryOp::abs: y = x.abs(); break;
        case UnaryOp::softcap: y = factor * (x * inverse).tanh(); break;
      }
      store_any(args.y, args.dtype, i, values, n, false);
    });
  });
}

//   affine factor dy    exp e^x dy    log dy / x    sqrt dy / (2 sqrt x)    square 2 x dy    abs sign(x) dy
//   softcap dy sech^2(x / cap) = 4 e dy / (1 + e)^2, e = exp(-2 |x / cap|)
template <class C>
void unary_back(const UnaryBackward& args) {
  const C factor = C(args.factor), inverse = C(1 / args.factor);
  parallel_chunks(args.n, kGrain, [&](int64_t begin, int64_t end) {
    each_chunk(begin, end, [&](int64_t i, int64_t n) {
      C x_buffer[kChunk], dy_buffer[kChunk], dx_buffer[kChunk], e_buffer[kChunk];
      const auto dy = in(load_any(args.dy, args.dtype, i, 1, n, dy_buffer), n);
      const auto x = [&] { return in(load_any(args.x, args.dtype, i, 1, n, x_buffer), n); };
      C* values = target_any(args.dx, args.dx_dtype, i, args.accumulate, dx_buffer);
      auto dx = out(values, n), e = out(e_buffer, n);
      switch (args.op) {
        case UnaryOp::affine: dx = factor * dy; break;
        case UnaryOp::exp: dx = x().exp() * dy; break;
        case UnaryOp::log: dx = dy / x(); break;
        case UnaryOp::sqrt:
          square_roots(x().data(), e_buffer, n);
          dx = C(0.5) * dy / e;
          break;
        case UnaryOp::square: dx = C(2) * x() * dy; break;
        case UnaryOp::abs: dx = (x() < C(0)).select(-dy, dy); break;
        case UnaryOp::softcap:
          e = ((x() * inverse).abs() * C(-2)).exp();
          dx = dy * (C(4) * e) / (C(1) + e).square();
          break;
      }
      store_any(args.dx, args.dx_dtype, i, values, n, args.accumulate);
    });
  });
}

template <class T>
void drop(const DropoutArgs& args) {
  using C = Compute<T>;
  const bool alike = args.dtype == args.y_dtype;
  const Delivery how =
      alike ? delivery(args.y, args.y_dtype, 1, args.n, args.n, args.accumulate) : Delivery::stored;
  parallel_chunks(args.n, kGrain, [&](int64_t begin, int64_t end) {
    each_chunk(begin, end, [&](int64_t first, int64_t n) {
      C x_buffer[kChunk], factors[kChunk];
      dropout_factors(args.seed, args.first_block, first, n, args.p, factors);
      const T* x = static_cast<const T*>(args.x) + first;
      if (!alike) {
        out(factors, n) *= in(load(x, n, x_buffer), n);
        return store_any(args.y, args.y_dtype, first, factors, n, args.accumulate);
      }
      T* y = static_cast<T*>(args.y) + first;
      each_packet<C>(n, [&](auto lane, int64_t i) {
        using L = decltype(lane);
        deliver_as(y + i, L(simd::pmul(simd::ploadu<L>(factors + i), load_as<L>(x + i))), how);
      });
    });
    end_of_stream(how);
  });
}

}  // namespace

void binary_forward(const BinaryForward& a) {
  a.y_dtype == DType::f64 ? forward<double>(a) : forward<float>(a);
}
void binary_backward(const BinaryBackward& a) {
  a.y_dtype == DType::f64 ? backward<double>(a) : backward<float>(a);
}
void unary_forward(const UnaryForward& a) { a.dtype == DType::f64 ? unary<double>(a) : unary<float>(a); }
void unary_backward(const UnaryBackward& a) {
  a.dtype == DType::f64 ? unary_back<double>(a) : unary_back<float>(a);
}
void dropout(const DropoutArgs& a) {
  visit_float(a.dtype, [&](auto t) { drop<decltype(t)>(a); });
}

}  // namespace engine::cpu::ENGINE_ISA
