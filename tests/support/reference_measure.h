// How far our tensors are from reference ones, by the measure of the reference collection's README:
// ||ours - expected|| / ||expected|| for each tensor; for a gradient the denominator is at least 1e-3 of the
// norm of all gradients together. Rows of padding do not count: nobody scores them, and implementations
// differ there.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "engine/base/check.h"
#include "engine/io/safetensors.h"

inline double euclidean_norm(const std::vector<double>& v) {
  double sum = 0;
  for (double x : v) sum += x * x;
  return std::sqrt(sum);
}

/// All tensors of a file, in f64.
inline engine::NamedTensors load_all(const engine::Safetensors& file) {
  engine::NamedTensors tensors;
  for (const auto& entry : file.entries())
    tensors.emplace_back(entry.name, file.load(entry.name, engine::DType::f64));
  return tensors;
}

/// The error of every tensor of `ours`, all of which `expected` must have. key_mask u8 [B, T], or undefined.
inline std::map<std::string, double> tensor_errors(const engine::NamedTensors& ours,
                                                   const engine::NamedTensors& expected,
                                                   const engine::Tensor& key_mask) {
  double all_gradients = 0;
  std::map<std::string, engine::Tensor> references;
  for (const auto& [name, tensor] : expected) {
    references[name] = tensor;
    if (name.starts_with("grad.")) all_gradients += std::pow(euclidean_norm(tensor.to_vector()), 2);
  }
  const double floor = 1e-3 * std::sqrt(all_gradients);
  std::map<std::string, double> errors;
  for (const auto& [name, tensor] : ours) {
    engine::check(references.count(name) > 0, name, ": not among the expected tensors");
    const engine::Tensor& reference = references[name];
    engine::check(tensor.shape() == reference.shape(), name, " is ", tensor.shape(), ", expected ",
                  reference.shape());
    std::vector<double> a = tensor.to_vector(), b = reference.to_vector();
    // (A classifier's logits belong to rows, not to positions.)
    if (key_mask.defined() && tensor.rank() == 3 && (name == "logits" || name == "hidden")) {
      const int64_t width = tensor.size(-1);
      for (size_t i = 0; i < a.size(); ++i)
        if (!key_mask.data<uint8_t>()[int64_t(i) / width]) a[i] = b[i] = 0;
    }
    const double size = std::max(euclidean_norm(b), name.starts_with("grad.") ? floor : 1e-30);
    for (size_t i = 0; i < a.size(); ++i) a[i] -= b[i];
    const double error = euclidean_norm(a) / size;
    errors[name] = std::isnan(error) ? INFINITY : error;
  }
  return errors;
}
