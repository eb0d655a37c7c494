// How a command ends that was asked rightly but could not do its work, such as a training run whose numbers
// are beyond repair: one line for a person, exit code 1. (Bad input is engine::Error, exit code 2.)
#pragma once

#include <stdexcept>

namespace train {

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Of these, training whose numbers are beyond repair, as against a lost device or a full disk.
struct Divergence : Failure {
  using Failure::Failure;
};

}  // namespace train
