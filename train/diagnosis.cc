// Read first: diagnosis.h, engine/autograd/tape.h.
#include "train/diagnosis.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/base/profile.h"

namespace train {

using engine::Tensor;

std::string not_finite(const Tensor& t) {
  if (!engine::is_float(t.dtype())) return {};
  int64_t bad = 0;
  double low = INFINITY, high = -INFINITY;
  for (double x : t.to_vector()) {
    if (!std::isfinite(x)) {
      ++bad;
      continue;
    }
    low = std::min(low, x);
    high = std::max(high, x);
  }
  if (bad == 0) return {};
  if (bad == t.numel()) return engine::join_text("all ", bad, " values are not finite");
  return engine::join_text(bad, " of ", t.numel(), " values are not finite, the others lie in [", low, ", ",
                           high, "]");
}

namespace {

struct Watcher : engine::TapeObserver {
  std::vector<std::string> places;  // of each node
  std::string found;

  void note(const char* pass, size_t index, const char* node, const Tensor& t) {
    if (!found.empty()) return;
    const std::string what = not_finite(t);
    if (what.empty()) return;
    const std::string place = places[index].empty() ? "the model's ends" : places[index];
    found = engine::join_text(pass, " of ", place, ", op ", node, ": ", what);
  }
  void on_output(size_t index, const char* node, const Tensor& output) override {
    places.resize(std::max(places.size(), index + 1));
    places[index] = engine::current_scope();
    note("forward", index, node, output);
  }
  void on_gradient(size_t index, const char* node, const Tensor& dy) override {
    note("backward", index, node, dy);
  }
};

}  // namespace

std::string find_bad_number(const std::function<Tensor()>& loss) {
  engine::Tape tape;
  Watcher watcher;
  tape.observer = &watcher;
  Tensor scalar;
  {
    const engine::TapeScope scope(tape);
    scalar = loss();
  }
  if (watcher.found.empty()) tape.backward(scalar);
  return watcher.found;
}

}  // namespace train
