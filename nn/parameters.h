// Parameters: every learned tensor of a model, by path, in flat arenas.
//
// A model declares names and shapes before memory exists. The constructor lays values and gradients out in
// two arenas, sorted by group, so that an optimizer step, a gradient norm or an all-reduce walks one long
// vector, and weight decay is one contiguous part of it. Under mixed precision a third arena holds the copies
// that ops read. Read first: engine/autograd/parameter.h. Then: nn/precision.h.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/autograd/tape.h"
#include "engine/core/arena.h"
#include "nn/precision.h"

namespace nn {

using engine::Parameter;
using engine::Shape;
using engine::Tensor;

/// What weight decay and reports tell apart. norm: weight, bias and alpha of norms; bias: of linear maps;
/// gain: head gains and the scales of residuals and branches.
enum class ParameterGroup { matrix, embedding, norm, bias, gain };
constexpr int kParameterGroups = 5;

struct Declaration {
  std::string name;
  Shape shape;
  ParameterGroup group = ParameterGroup::matrix;
};

enum class Gradients { none, allocated };

/// A stretch of arena elements that one rank of several looks after, and where it begins in that rank's
/// tensors, which hold its pieces one after the other.
struct Piece {
  int64_t begin, end, at;
};

class Parameters {
 public:
  Parameters(const std::vector<Declaration>& declarations, const Precision& precision, Gradients gradients);
  Parameters(const Parameters&) = delete;
  Parameters& operator=(const Parameters&) = delete;

  /// In the order of declaration.
  const std::vector<Parameter*>& all() const { return declared_; }
  Parameter* find(const std::string& name) const;        // null when there is none
  Parameter& operator[](const std::string& name) const;  // an Error when there is none
  ParameterGroup group(const Parameter& parameter) const { return groups_.at(&parameter); }
  int64_t count() const;

  const Precision& precision() const { return precision_; }
  /// Whole; not between keep_values() and make_whole().
  const Tensor& values() const {
    engine::check(!sharded(), "parameters: this rank holds only its pieces of the values");
    return values_.flat();
  }
  /// Elements [begin, end) of the values, within one piece where only pieces are held.
  Tensor values(int64_t begin, int64_t end) const;
  int64_t elements() const { return elements_; }  // of an arena
  const Tensor& grads() const { return grads_.flat(); }
  /// Elements [begin, end) of the arenas that a group takes; groups lie in the order of the enum.
  std::pair<int64_t, int64_t> range(ParameterGroup group) const { return ranges_[size_t(group)]; }

  /// The copies that ops read of arena elements [begin, end); undefined where ops read the values themselves.
  Tensor copies(int64_t begin, int64_t end) const;
  /// Which elements have copies; an empty range where none do.
  std::pair<int64_t, int64_t> copied() const { return {copies_begin_, copies_end_}; }
  /// Makes the copies equal to the values again, as far as values are held: after loading or initialising.
  void refresh_copies();

  /// Gives up the values below element `whole_from` but for `pieces`: other ranks change the others, and ops
  /// read copies, which all elements below `whole_from` must have. Parameters that begin there have no
  /// `value` from now on.
  void keep_values(std::vector<Piece> pieces, int64_t whole_from);
  bool sharded() const { return whole_from_ > 0; }
  /// The end of that. The caller fills in what other ranks hold.
  void make_whole();

  /// Forgets all gradients, without touching memory.
  void clear_gradients();
  /// Zeroes the gradient of each parameter that got none since clear_gradients(): now the whole arena is
  /// valid.
  void complete_gradients();

 private:
  void lay_out(const std::vector<Declaration>& declarations, Gradients gradients);
  void place_values();
  bool has_copy(int64_t offset) const {
    return copies_.defined() && offset >= copies_begin_ && offset < copies_end_;
  }

  Precision precision_;
  std::vector<Parameter> storage_;
  std::vector<Parameter*> declared_;
  std::map<std::string, Parameter*> by_name_;
  std::map<const Parameter*, ParameterGroup> groups_;
  std::pair<int64_t, int64_t> ranges_[kParameterGroups];
  engine::Arena values_, grads_, copies_;
  int64_t copies_begin_ = 0, copies_end_ = 0, elements_ = 0;
  std::vector<int64_t> offsets_;  // of each parameter in the arenas, in the order of declaration
  // While only pieces are held: `values_` has them, then everything from whole_from_ on.
  std::vector<Piece> pieces_;
  int64_t whole_from_ = 0, kept_ = 0;  // kept_: elements of all pieces below whole_from_
};

/// A place in the tree of names: scope.sub("attn").get("qkv.weight") is layers.3.attn.qkv.weight.
struct Scope {
  const Parameters* parameters;
  std::string prefix;

  Scope sub(const std::string& name) const { return {parameters, prefix + name + "."}; }
  Parameter* get(const std::string& name) const { return &(*parameters)[prefix + name]; }
  Parameter* find(const std::string& name) const { return parameters->find(prefix + name); }
};

/// use() of a parameter that may be absent: an undefined tensor then.
inline Tensor use_optional(Parameter* parameter) { return parameter ? engine::use(*parameter) : Tensor(); }

}  // namespace nn
