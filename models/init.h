// Initial values: one table of rules by name, and Admin's profiling pass.
//
// clang-format off
//   fairseq    embeddings N(0, d^-1/2); q, k, v uniform +-sqrt(1.5/d) (Xavier, gain 1/sqrt 2), biases +-1/sqrt(d);
//              out Xavier, bias 0; up, gate, down uniform +-1/sqrt(fan in), biases too     facebookresearch/fairseq
//   bert gpt2  N(0, 0.02), biases 0                             Devlin et al. 2018; Radford et al. 2019
//   gpt3       the same; attention's and feed-forward's outputs / sqrt(2L)     Brown et al. 2020; nanoGPT
//   megatron   N(0, 1/sqrt(2.5 d)) truncated at 3 sigma; outputs / sqrt(2L); untied head N(0, 1/sqrt d)   2503.04598
//   normal     megatron's sigma for every matrix, without the depth factor                2503.04598
//   depth      inputs 1/sqrt(d); out 1/sqrt(2d(l+1)), down 1/sqrt(2f(l+1)), truncated at 3 sigma      2503.04598
//   deepnorm   Xavier; v, out, up, gate, down times (8L)^-1/4                              2203.00555
//   subln      fairseq; v, out, up, gate, down times sqrt(ln 2L)                           2210.06423
//   admin      fairseq; then admin_profile() sets the residual scales                      2004.08249
//   ngpt       N(0, 1/sqrt(d)), rows made unit vectors                                     2410.01131
// clang-format on
// Norms, gains and scales start at the constants of the parameter list. Each parameter draws from its own
// Philox stream, keyed by seed and name: a model's values do not depend on the order or presence of other
// parameters.
#pragma once

#include "models/transformer.h"

namespace models {

/// The rule that applies when neither config nor placement names one: gpt3 for clm, bert otherwise; nGPT: its
/// own.
std::string default_init(const ModelConfig& config);

struct InitRule {
  std::string name, about;
};
std::vector<InitRule> init_rules();
/// Error, with the nearest name, unless initialise() knows this rule ("" as there); and unless the model has
/// what the rule sets.
void check_init(const ModelConfig& config, const std::string& rule);

/// Fills every parameter by `rule` ("" = init_rule(config), else default_init).
void initialise(Transformer& model, const std::string& rule, uint64_t seed);

/// The generator of a parameter's initial values.
engine::Rng parameter_rng(const std::string& name, uint64_t seed);

/// Admin's profiling pass (Liu et al. 2020, section 4.3): with residual scales 1, runs the model on one batch
/// and sets each sublayer's residual scale to sqrt(v), v the variance that its residual has gathered so far.
/// Needs `res=vector` slots.
void admin_profile(Transformer& model, const InputRows& tokens);

/// nGPT: makes rows (columns for output projections) of every matrix unit vectors. Called after initialise()
/// and after each optimizer step; does nothing for other models.
void normalize_ngpt(Transformer& model);
/// The same of one parameter, whose values stand in `value`, without the copies that ops read.
void normalize_ngpt(const Transformer& model, const engine::Parameter& parameter, const engine::Tensor& value);
bool is_ngpt(const ModelConfig& config);

}  // namespace models
