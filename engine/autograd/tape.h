// The tape: reverse-mode differentiation as a list of typed nodes (a Wengert list).
//
// Ops run eagerly, so the order in which they ran is already a topological order: the tape is a vector of
// nodes, and backward walks it once in reverse. A node is a struct derived from NodeOf<Itself> whose named
// fields are exactly what its backward reads. Tensors know nothing but {tape, slot}; a slot holds the
// gradient of one tensor while it is needed. There is no graph to sort, no recursion and no map.
// docs/02-autograd.md walks through one op.
//
//   Tape tape;                               // records while a TapeScope is open
//   { TapeScope scope(tape); tape.watch(x); loss = f(x); }
//   tape.backward(loss);
//   Tensor dx = tape.gradient(x);
//
// Source of the term: R. E. Wengert, "A simple automatic derivative evaluation program", CACM 7(8), 1964.
#pragma once

#include <initializer_list>
#include <memory>
#include <memory_resource>
#include <span>
#include <tuple>
#include <vector>

#include "engine/autograd/parameter.h"
#include "engine/core/tensor.h"

namespace engine {

class Tape;
class Backward;

/// A tensor kept alive for backward, with the storage version it had. get() checks that nobody wrote to its
/// memory since (a caller's in-place update would silently give a wrong gradient).
class Saved {
 public:
  Saved() = default;
  explicit Saved(const Tensor& t) : tensor_(t.detach()), version_(t.defined() ? t.storage()->version : 0) {}
  Saved& operator=(const Tensor& t) { return *this = Saved(t); }
  const Tensor& get() const;
  bool defined() const { return tensor_.defined(); }
  int64_t bytes() const { return tensor_.defined() ? tensor_.bytes() : 0; }

 private:
  Tensor tensor_;
  uint32_t version_ = 0;
};

/// One recorded op. Derive from NodeOf<Derived>, which fills in name() and saved_bytes().
class Node {
 public:
  virtual ~Node() = default;
  /// Reads the outputs' gradients and writes or adds the inputs' through `b`. Called only if some output has
  /// one.
  virtual void backward(Backward& b) = 0;
  virtual const char* name() const = 0;
  virtual int64_t saved_bytes() = 0;
  /// Where the gradient of output i should be formed, when the node wants it inside a larger buffer of its
  /// own (split); an undefined tensor means: anywhere. Used when it has uniform rows; else the gradient is
  /// formed elsewhere.
  virtual Tensor gradient_buffer(int output) { return {}; }

 private:
  friend class Tape;
  friend class Backward;
  int32_t first_input_ = 0, inputs_ = 0, first_output_ = 0, outputs_ = 0;  // ranges of Tape::links_
};

/// Derived declares `static constexpr const char* kName` and `auto saved() { return std::tie(field, ...); }`
/// over its Saved fields (std::tie() for none).
template <class Derived>
class NodeOf : public Node {
 public:
  const char* name() const final { return Derived::kName; }
  int64_t saved_bytes() override {
    return std::apply([](auto&... field) { return (int64_t(0) + ... + field.bytes()); },
                      static_cast<Derived*>(this)->saved());
  }
};

/// Where a kernel puts the gradient of an input: buffer = g when !accumulate, buffer += g otherwise.
struct Into {
  Tensor buffer;
  bool accumulate = false;
};

/// What a node sees while its backward runs.
class Backward {
 public:
  /// False when nothing that was differentiated depends on this output: its gradient is zero.
  bool has(int output) const;
  /// The gradient of an output: contiguous unless the node provides the buffer. Requires has(output).
  Tensor dy(int output = 0) const;
  /// Whether that gradient is known to be 1 without reading it: the result's own, passed on unchanged.
  bool is_unit(int output = 0) const;
  /// Whether anybody needs the gradient of an input. Skip the work when not.
  bool wants(int input) const;
  /// The contiguous buffer for an input's gradient. Call it right before the kernel that writes it, and write
  /// it before asking for the next input (two inputs may be the same tensor).
  Into into(int input);
  /// The same, but the buffer may have uniform rows at a distance (has_uniform_rows()): part of a wider
  /// tensor.
  Into into_rows(int input);
  /// Gives an input the gradient `g`, which is not changed afterwards: without a copy when it is the first
  /// one.
  void pass(int input, const Tensor& g);

 private:
  friend class Tape;
  Backward(Tape& tape, Node& node) : tape_(tape), node_(node) {}
  int32_t input_slot(int input) const;
  int32_t output_slot(int output) const;
  Into request(int input, bool rows);
  Tape& tape_;
  Node& node_;
};

/// Told when a parameter's gradient is complete (after its last use in this backward; tied weights fire
/// once).
struct GradientListener {
  virtual ~GradientListener() = default;
  virtual void on_grad_ready(Parameter& parameter) = 0;
};

/// Shown every tensor as it is recorded and every gradient as it is consumed: for diagnosis, off in normal
/// training.
struct TapeObserver {
  virtual ~TapeObserver() = default;
  /// Node number `index` has just produced `output`.
  virtual void on_output(size_t index, const char* node, const Tensor& output) = 0;
  /// Node number `index` is about to use the gradient `dy` of one of its outputs.
  virtual void on_gradient(size_t index, const char* node, const Tensor& dy) = 0;
};

class Tape {
 public:
  Tape();
  ~Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  /// The tape that ops record on in this thread, or null. Opened by TapeScope.
  static Tape* current();

  /// Makes `x` a leaf: its gradient is kept and can be read after backward.
  void watch(Tensor& x);
  /// Keeps the gradient of an intermediate tensor readable after backward.
  void keep(const Tensor& x);
  /// The gradient of a watched or kept tensor; undefined when the result does not depend on it.
  Tensor gradient(const Tensor& x) const;

  /// True when `x` was produced from something watched or from a parameter on this tape.
  bool tracks(const Tensor& x) const { return x.slot.index >= 0 && x.slot.tape == number_; }
  int32_t leaf(Parameter& parameter);
  /// Gives parameters back the slots they had before this tape used them: the end of a nested tape.
  void restore_leaves();

  /// True when `x` is a parameter as use() gave it to this tape.
  bool is_parameter(const Tensor& x) const {
    return tracks(x) && slots_[size_t(x.slot.index)].parameter != nullptr;
  }
  /// The gradient buffer of a parameter, as Backward::into() gives it, for an op that forms gradients while
  /// it runs forward (linear_cross_entropy). Requires is_parameter(x).
  Into into_now(const Tensor& x);

  /// Appends a node and gives the outputs their slots. Returns the node, to fill in its saved fields.
  template <class N>
  N& record(std::initializer_list<const Tensor*> inputs, std::initializer_list<Tensor*> outputs) {
    return record<N>(std::span(inputs.begin(), inputs.size()), std::span(outputs.begin(), outputs.size()));
  }
  template <class N>
  N& record(std::span<const Tensor* const> inputs, std::span<Tensor* const> outputs) {
    N* node = new (memory_.allocate(sizeof(N), alignof(N))) N();
    append(*node, inputs, outputs);
    return *node;
  }

  /// Differentiates a scalar; the gradient of the scalar itself is 1. Frees nodes and saved tensors as it
  /// goes.
  void backward(const Tensor& scalar);
  /// Differentiates sum_i <outputs[i], cotangents[i]>.
  void backward(std::span<const Tensor> outputs, std::span<const Tensor> cotangents);

  GradientListener* listener = nullptr;
  TapeObserver* observer = nullptr;

  /// Bytes that nodes keep alive for backward (parameters and tensors saved twice are counted each time).
  int64_t saved_bytes() const;
  size_t size() const { return nodes_.size(); }
  const Node& node(size_t i) const { return *nodes_[i]; }

 private:
  friend class Backward;
  struct SlotState {
    Tensor grad;
    Shape shape;
    DType dtype = DType::f32;
    Device device = Device::cpu;
    Parameter* parameter = nullptr;
    Slot outer;  // of a parameter: its slot on the tape that this one is nested in
    Node* producer = nullptr;
    int32_t output = 0;
    int32_t uses = 0;
    bool keep = false;

    Tensor empty() const { return Tensor::empty(shape, dtype, device); }  // a buffer for the gradient
  };

  int32_t new_slot(const Tensor& x);
  void append(Node& node, std::span<const Tensor* const> inputs, std::span<Tensor* const> outputs);
  void run(size_t index);
  void accumulate(int32_t slot, const Tensor& g);
  /// Where the producer of a slot wants its gradient formed: undefined when it does not care, or when the
  /// place has no uniform rows, which is what kernels that write a gradient later on the slot's account need.
  static Tensor offered_buffer(const SlotState& slot);
  void release_uses(Node& node);
  void clear_nodes();

  uint32_t number_;
  std::pmr::monotonic_buffer_resource memory_;
  std::vector<Node*> nodes_;
  std::vector<int32_t> links_;  // slots of all nodes' inputs and outputs, -1 for an input that is not tracked
  std::vector<SlotState> slots_;
  std::shared_ptr<Storage> unit_;  // while a scalar is differentiated: its gradient, a 1
};

/// Records on a tape while it lives. Scopes nest; TapeScope(nullptr) turns recording off.
class TapeScope {
 public:
  explicit TapeScope(Tape& tape) : TapeScope(&tape) {}
  explicit TapeScope(Tape* tape);
  ~TapeScope();
  TapeScope(const TapeScope&) = delete;
  TapeScope& operator=(const TapeScope&) = delete;

 private:
  Tape *previous_, *previous_suspended_;
};

/// While it lives nothing is recorded, and an op that reads a tensor of `tape` is an Error that says so: what
/// runs here is recorded later, from copies of its inputs, and would lose the gradient of anything else it
/// reads.
class TapeSuspension {
 public:
  explicit TapeSuspension(Tape& tape);
  ~TapeSuspension();
  TapeSuspension(const TapeSuspension&) = delete;
  TapeSuspension& operator=(const TapeSuspension&) = delete;

 private:
  TapeScope off_;
};

/// Notes every parameter that is used while it lives, on a tape or not (a parameter used twice is noted
/// twice).
class ParameterLog {
 public:
  ParameterLog();
  ~ParameterLog();
  std::vector<Parameter*> parameters;

 private:
  std::vector<Parameter*>* previous_;
};

/// The current tape when at least one of the inputs needs a gradient, else null: `if (Tape* tape =
/// recording({&x, &w}))`.
Tape* recording(std::initializer_list<const Tensor*> inputs);

/// For the mutation tests: while it lives, nodes with this name have the gradients that they get, or those
/// that they pass() on, scaled by `factor`.
class BackwardMutation {
 public:
  enum class Of { received, passed };
  BackwardMutation(const char* node_name, double factor, Of of = Of::received);
  ~BackwardMutation();
};

}  // namespace engine
