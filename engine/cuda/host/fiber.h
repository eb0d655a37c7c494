// A fiber: a stack and the place in a function where it was left. The stand-in runs every thread of a CUDA
// block as one, so that a thread can wait at a barrier in the middle of a kernel while the others go on, all
// of it on one thread of the operating system.
//
// Boost.Context's jump_fcontext switches stacks in a few nanoseconds (it saves the callee-saved registers,
// nothing else). Its C++ classes on top would cost several times that and unwind dropped stacks by
// exceptions.
#pragma once

#include <cstddef>

namespace engine::standin {

class Fiber {
 public:
  using Body = void (*)(Fiber&);

  /// `body` begins at the first enter(). It must not return: it calls leave() for good at its end.
  explicit Fiber(Body body);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Called from outside: goes on with the fiber until it leaves.
  void enter();
  /// Called on the fiber: back to who entered it.
  void leave();
  /// Called from outside: forgets where the fiber stands; the next enter() begins its body again. What stood
  /// on its stack is dropped without destructors, so kernels keep nothing there that needs one.
  void restart();

 private:
  struct Entry;  // where a fresh context begins

  Body body_;
  char* memory_;             // the mapping: a guard page, then the stack
  void* context_ = nullptr;  // of the fiber, while it is left; null: it begins anew
  void* outside_ = nullptr;  // of who entered it
  // AddressSanitizer has to be told of every switch; these are its notes.
  void* fake_stack_ = nullptr;
  const void* outside_bottom_ = nullptr;
  size_t outside_size_ = 0;
};

}  // namespace engine::standin
