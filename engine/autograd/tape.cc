// Read first: tape.h.
#include "engine/autograd/tape.h"

#include <atomic>
#include <cstring>

namespace engine {
namespace {

thread_local Tape* current_tape = nullptr;
thread_local Tape* suspended_tape = nullptr;  // by the TapeSuspension that is the innermost scope
thread_local std::vector<Parameter*>* parameter_log = nullptr;
std::atomic<uint32_t> tape_numbers{0};

struct Mutation {
  const char* name = nullptr;
  double factor = 1;
  BackwardMutation::Of of = BackwardMutation::Of::received;

  bool meets(const char* node, BackwardMutation::Of what) const {
    return name && of == what && std::strcmp(name, node) == 0;
  }
};
Mutation mutation;

Tensor scaled_copy(const Tensor& g, double factor) {
  std::vector<double> values = g.to_vector();
  for (double& value : values) value *= factor;
  return Tensor::from(values, g.shape(), g.dtype()).to(g.device());
}

}  // namespace

const Tensor& Saved::get() const {
  check(!tensor_.defined() || tensor_.storage()->version == version_, "backward: a saved tensor ",
        tensor_.shape(), " ", tensor_.dtype(), " was overwritten between forward and backward");
  return tensor_;
}

// ------------------------------------------------------------------------------------------------- recording

Tape::Tape() : number_(++tape_numbers) {}
Tape::~Tape() { clear_nodes(); }

Tape* Tape::current() { return current_tape; }

TapeScope::TapeScope(Tape* tape) : previous_(current_tape), previous_suspended_(suspended_tape) {
  current_tape = tape;
  suspended_tape = nullptr;
}
TapeScope::~TapeScope() { current_tape = previous_, suspended_tape = previous_suspended_; }

TapeSuspension::TapeSuspension(Tape& tape) : off_(nullptr) { suspended_tape = &tape; }
TapeSuspension::~TapeSuspension() = default;  // off_ puts both back

ParameterLog::ParameterLog() : previous_(parameter_log) { parameter_log = &parameters; }
ParameterLog::~ParameterLog() { parameter_log = previous_; }

Tape* recording(std::initializer_list<const Tensor*> inputs) {
  if (suspended_tape)
    for (const Tensor* x : inputs)
      check(!suspended_tape->tracks(*x), "checkpoint: the segment reads a tensor ", x->shape(),
            " that needs a gradient and is not among its inputs");
  Tape* tape = current_tape;
  if (!tape) return nullptr;
  for (const Tensor* x : inputs)
    if (tape->tracks(*x)) return tape;
  return nullptr;
}

int32_t Tape::new_slot(const Tensor& x) {
  SlotState slot;
  slot.shape = x.shape();
  slot.dtype = x.dtype();
  slot.device = x.device();
  slots_.push_back(std::move(slot));
  return int32_t(slots_.size()) - 1;
}

void Tape::watch(Tensor& x) {
  check(is_float(x.dtype()), "watch: a ", x.dtype(), " tensor has no gradient");
  x.slot = {number_, new_slot(x)};
  slots_.back().keep = true;
}

void Tape::keep(const Tensor& x) {
  check(tracks(x), "keep: this tensor is not on the tape");
  slots_[size_t(x.slot.index)].keep = true;
}

Tensor Tape::gradient(const Tensor& x) const {
  check(tracks(x), "gradient: this tensor is not on the tape");
  return slots_[size_t(x.slot.index)].grad;
}

int32_t Tape::leaf(Parameter& parameter) {
  if (parameter.slot.tape != number_) {
    const Slot outer = parameter.slot;
    parameter.slot = {number_, new_slot(parameter.compute)};
    slots_.back().parameter = &parameter;
    slots_.back().outer = outer;
  }
  return parameter.slot.index;
}

void Tape::restore_leaves() {
  for (SlotState& slot : slots_)
    if (slot.parameter) slot.parameter->slot = slot.outer;
}

namespace {
Tensor use_as(Parameter& parameter, const Tensor& elements) {
  Tensor t = elements.detach();
  if (!parameter.grad.defined()) return t;
  if (parameter_log) parameter_log->push_back(&parameter);
  if (current_tape) {
    current_tape->leaf(parameter);
    t.slot = parameter.slot;
  }
  return t;
}
}  // namespace

Tensor use(Parameter& parameter) { return use_as(parameter, parameter.compute); }
Tensor use_value(Parameter& parameter) { return use_as(parameter, parameter.value); }

void Tape::append(Node& node, std::span<const Tensor* const> inputs, std::span<Tensor* const> outputs) {
  node.first_input_ = int32_t(links_.size());
  node.inputs_ = int32_t(inputs.size());
  for (const Tensor* x : inputs) {
    const int32_t slot = tracks(*x) ? x->slot.index : -1;
    links_.push_back(slot);
    if (slot >= 0) ++slots_[size_t(slot)].uses;
  }
  node.first_output_ = int32_t(links_.size());
  node.outputs_ = int32_t(outputs.size());
  for (Tensor* y : outputs) {
    const int32_t slot = new_slot(*y);
    slots_.back().producer = &node;
    slots_.back().output = int32_t(links_.size()) - node.first_output_;
    y->slot = {number_, slot};
    links_.push_back(slot);
    if (observer) observer->on_output(nodes_.size(), node.name(), *y);
  }
  nodes_.push_back(&node);
}

int64_t Tape::saved_bytes() const {
  int64_t bytes = 0;
  for (Node* node : nodes_) bytes += node->saved_bytes();
  return bytes;
}

void Tape::clear_nodes() {
  for (Node* node : nodes_)
    if (node) node->~Node();
  nodes_.clear();
  links_.clear();
  memory_.release();
}

// ------------------------------------------------------------------------------------------------- backward

void Tape::backward(const Tensor& scalar) {
  check(scalar.numel() == 1, "backward: needs a scalar, got ", scalar.shape());
  const Tensor one = Tensor::full(scalar.shape(), 1, scalar.dtype(), scalar.device());
  unit_ = one.storage();  // held here too, so that nobody writes to it
  backward(std::span(&scalar, 1), std::span(&one, 1));
  unit_ = nullptr;
}

void Tape::backward(std::span<const Tensor> outputs, std::span<const Tensor> cotangents) {
  check(outputs.size() == cotangents.size(), "backward: ", outputs.size(), " outputs, ", cotangents.size(),
        " cotangents");
  const TapeScope off(nullptr);
  for (size_t i = 0; i < outputs.size(); ++i) {
    check(outputs[i].shape() == cotangents[i].shape(), "backward: output ", outputs[i].shape(),
          ", cotangent ", cotangents[i].shape());
    if (tracks(outputs[i])) accumulate(outputs[i].slot.index, cotangents[i]);
  }
  for (size_t i = nodes_.size(); i-- > 0;) {
    run(i);
    nodes_[i]->~Node();  // frees what it saved
    nodes_[i] = nullptr;
  }
  clear_nodes();
}

void Tape::run(size_t index) {
  Node& node = *nodes_[index];
  bool any = false;
  for (int i = 0; i < node.outputs_; ++i) {
    SlotState& slot = slots_[size_t(links_[size_t(node.first_output_ + i)])];
    any = any || slot.grad.defined();
    if (observer && slot.grad.defined()) observer->on_gradient(index, node.name(), slot.grad);
    if (slot.grad.defined() && mutation.meets(node.name(), BackwardMutation::Of::received))
      slot.grad = scaled_copy(slot.grad, mutation.factor);
  }
  if (any) {
    Backward b(*this, node);
    node.backward(b);
  }
  for (int i = 0; i < node.outputs_; ++i) {
    SlotState& slot = slots_[size_t(links_[size_t(node.first_output_ + i)])];
    if (!slot.keep) slot.grad = {};
    slot.producer = nullptr;
  }
  release_uses(node);
}

void Tape::release_uses(Node& node) {
  for (int i = 0; i < node.inputs_; ++i) {
    const int32_t index = links_[size_t(node.first_input_ + i)];
    if (index < 0) continue;
    SlotState& slot = slots_[size_t(index)];
    if (--slot.uses > 0 || !slot.parameter) continue;
    if (slot.grad.defined()) {  // formed wider than the arena: see forms_wider()
      accumulate(index, slot.grad);
      slot.grad = {};
    }
    if (listener) listener->on_grad_ready(*slot.parameter);
  }
}

Tensor Tape::offered_buffer(const SlotState& slot) {
  const Tensor buffer = slot.producer ? slot.producer->gradient_buffer(slot.output) : Tensor();
  return buffer.defined() && buffer.has_uniform_rows() ? buffer : Tensor();
}

void Tape::accumulate(int32_t index, const Tensor& g) {
  SlotState& slot = slots_[size_t(index)];
  assert(g.shape() == slot.shape);
  if (slot.parameter) {
    Parameter& p = *slot.parameter;
    p.grad.copy_from(g, p.grad_written);
    p.grad_written = true;
  } else if (!slot.grad.defined()) {
    const Tensor buffer = offered_buffer(slot);
    if (!buffer.defined() && g.is_contiguous() && g.dtype() == slot.dtype) {
      slot.grad = g.detach();  // shared; copied on the next write
      return;
    }
    slot.grad = buffer.defined() ? buffer : slot.empty();
    slot.grad.copy_from(g);
  } else {
    if (slot.grad.storage().use_count() > 1 && slot.grad.is_contiguous()) {  // somebody else holds it too
      const Tensor own = slot.empty();
      own.copy_from(slot.grad);
      slot.grad = own;
    }
    slot.grad.copy_from(g, true);
  }
}

int32_t Backward::input_slot(int input) const { return tape_.links_[size_t(node_.first_input_ + input)]; }
int32_t Backward::output_slot(int output) const { return tape_.links_[size_t(node_.first_output_ + output)]; }

bool Backward::has(int output) const { return tape_.slots_[size_t(output_slot(output))].grad.defined(); }

Tensor Backward::dy(int output) const {
  assert(has(output));
  return tape_.slots_[size_t(output_slot(output))].grad;
}

bool Backward::is_unit(int output) const { return tape_.unit_ && dy(output).storage() == tape_.unit_; }

bool Backward::wants(int input) const { return input_slot(input) >= 0; }

static Into into_arena(Parameter& p) {
  const bool accumulate = p.grad_written;
  p.grad_written = true;
  return {p.grad, accumulate};
}

Into Tape::into_now(const Tensor& x) {
  assert(is_parameter(x));
  return into_arena(*slots_[size_t(x.slot.index)].parameter);
}

/// Kernels form the gradient of an f32 leaf (a gain, a bias) in f32. An f16 arena, of memory-efficient f16,
/// gets it rounded once, after the leaf's last use on this tape.
static bool forms_wider(DType leaf, DType arena) {
  return leaf == compute_dtype(leaf) && arena != compute_dtype(arena);
}

Into Backward::request(int input, bool rows) {
  Tape::SlotState& slot = tape_.slots_[size_t(input_slot(input))];
  if (slot.parameter) {
    if (!forms_wider(slot.dtype, slot.parameter->grad.dtype())) return into_arena(*slot.parameter);
    const bool accumulate = slot.grad.defined();
    if (!accumulate) slot.grad = slot.empty();
    return {slot.grad, accumulate};
  }
  if (!slot.grad.defined()) {
    if (rows) slot.grad = Tape::offered_buffer(slot);
    if (!slot.grad.defined()) slot.grad = slot.empty();
    return {slot.grad, false};
  }
  // Copy on write: a gradient that was passed on without a copy may be in two slots. A buffer inside a wider
  // tensor (split) is referenced by that tensor too, so it is told apart by not being contiguous.
  if (slot.grad.is_contiguous() ? slot.grad.storage().use_count() > 1 : !rows) {
    const Tensor own = slot.empty();
    own.copy_from(slot.grad);
    slot.grad = own;
  }
  return {slot.grad, true};
}

Into Backward::into(int input) { return request(input, false); }
Into Backward::into_rows(int input) { return request(input, true); }

void Backward::pass(int input, const Tensor& g) {
  if (!wants(input)) return;
  const bool wrong = mutation.meets(node_.name(), BackwardMutation::Of::passed);
  tape_.accumulate(input_slot(input), wrong ? scaled_copy(g, mutation.factor) : g);
}

BackwardMutation::BackwardMutation(const char* node_name, double factor, Of of) {
  mutation = {node_name, factor, of};
}
BackwardMutation::~BackwardMutation() { mutation = {}; }

}  // namespace engine
