// Rotary angles of a model: plain ones, or stretched so that a model reads rows longer than those it was
// trained on.
//
//   linear   f_i / factor                                              (Chen et al. 2023, arXiv 2306.15595)
//   llama3   wavelengths (2 pi / f_i) above original_context / low_freq_factor: f_i / factor; below
//            original_context / high_freq_factor: f_i; between: (1 - s) f_i / factor + s f_i with
//            s = (original_context / wavelength - low) / (high - low)   (Llama 3.1, arXiv 2407.21783)
//   yarn     pairs that turn less than beta_slow times in original_context: f_i / factor; more than beta_fast
//            times: f_i; between, linear in i. What turns is multiplied by attention_factor, by default
//            0.1 ln(factor) + 1                                         (Peng et al. 2023, arXiv 2309.00071)
//   longrope f_i / short_factor_i in rows of up to original_context tokens, f_i / long_factor_i in longer
//   ones;
//            what turns is multiplied by attention_factor, by default
//            sqrt(1 + ln(factor) / ln(original_context))                    (Ding et al. 2024, arXiv
//            2402.13753)
//
// with f_i = theta^(-2i/n). Read first: engine/ops/rope.h.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/json.h"
#include "engine/ops/rope.h"

namespace models {

enum class RopeKind { linear, llama3, yarn, longrope };
inline constexpr std::array<const char*, 4> rope_kind_names = {"linear", "llama3", "yarn", "longrope"};

struct RopeScaling {
  RopeKind kind = RopeKind::linear;
  double factor = 1;
  int64_t original_context = 0;                      // all but linear
  double low_freq_factor = 1, high_freq_factor = 4;  // llama3
  double beta_fast = 32, beta_slow = 1;              // yarn
  bool truncate = true;                              // yarn: the bounds of "between" are whole pairs
  std::optional<double> attention_factor;            // yarn, longrope
  std::vector<double> short_factor, long_factor;     // longrope: of each pair that turns
  bool operator==(const RopeScaling&) const = default;
};

/// {"kind": "llama3", "factor": 8, "original_context": 8192, ...}: keys of the kind only. Error: unknown
/// keys, numbers that give no angles.
RopeScaling rope_scaling_from_json(const engine::Json& json, const std::string& what);
engine::Json to_json(const RopeScaling& scaling);

/// The angles of heads of `n` channels of which `turning` turn: pairs (i, i + n/2) with i < turning/2; the
/// others stay. Frequencies are those of a head of `turning` channels. `long_rows`: longrope's of rows above
/// original_context.
engine::RopeAngles rope_angles(int64_t n, int64_t turning, double theta,
                               const std::optional<RopeScaling>& scaling, bool long_rows = false);

}  // namespace models
