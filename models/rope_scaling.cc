// Read first: rope_scaling.h.
#include "models/rope_scaling.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/base/check.h"
#include "engine/base/text.h"

namespace models {
namespace {

using engine::check;
using engine::Json;

constexpr double two_pi = 2 * std::numbers::pi;

double llama3_frequency(const RopeScaling& s, double f) {
  const double turns = double(s.original_context) * f / two_pi;  // in the original context
  if (turns < s.low_freq_factor) return f / s.factor;
  if (turns > s.high_freq_factor) return f;
  const double smooth = (turns - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
  return (1 - smooth) * f / s.factor + smooth * f;
}

/// The pair, as a real number, that turns so many times in the original context.
double yarn_pair(const RopeScaling& s, double turns, int64_t n, double theta) {
  return double(n) * std::log(double(s.original_context) / (turns * two_pi)) / (2 * std::log(theta));
}

double longrope_amplitude(const RopeScaling& s) {
  if (s.attention_factor) return *s.attention_factor;
  return s.factor > 1 ? std::sqrt(1 + std::log(s.factor) / std::log(double(s.original_context))) : 1;
}

void stretch(engine::RopeAngles& angles, int64_t n, double theta, const RopeScaling& s, bool long_rows) {
  if (s.kind == RopeKind::longrope) {
    const std::vector<double>& factors = long_rows ? s.long_factor : s.short_factor;
    check(factors.size() == angles.frequencies.size(), "model: rope_scaling longrope needs ",
          angles.frequencies.size(), " factors, one of each pair that turns, got ", factors.size());
    for (size_t i = 0; i < factors.size(); ++i) angles.frequencies[i] /= factors[i];
    angles.amplitude = longrope_amplitude(s);
    return;
  }
  if (s.kind == RopeKind::yarn) {
    double low = yarn_pair(s, s.beta_fast, n, theta), high = yarn_pair(s, s.beta_slow, n, theta);
    if (s.truncate) low = std::floor(low), high = std::ceil(high);
    low = std::max(low, 0.0), high = std::min(high, double(n - 1));
    if (low == high) high += 0.001;
    for (size_t i = 0; i < angles.frequencies.size(); ++i) {
      const double ramp = std::clamp((double(i) - low) / (high - low), 0.0, 1.0);
      angles.frequencies[i] *= ramp / s.factor + 1 - ramp;
    }
    angles.amplitude = s.attention_factor.value_or(s.factor > 1 ? 0.1 * std::log(s.factor) + 1 : 1);
    return;
  }
  for (double& f : angles.frequencies) f = s.kind == RopeKind::linear ? f / s.factor : llama3_frequency(s, f);
}

void check_numbers(const RopeScaling& s, const std::string& what) {
  const auto positive = [&](const char* name, double value) {
    check(value > 0 && value <= 1e9, what, ".", name, " ", value, " is outside (0, 1e9]");
  };
  positive("factor", s.factor);
  if (s.kind == RopeKind::linear) return;
  check(s.original_context >= 1, what, ": ", rope_kind_names[size_t(s.kind)], " needs original_context");
  if (s.kind == RopeKind::llama3) {
    positive("low_freq_factor", s.low_freq_factor), positive("high_freq_factor", s.high_freq_factor);
    check(s.low_freq_factor < s.high_freq_factor, what, ".low_freq_factor ", s.low_freq_factor,
          " must be below high_freq_factor ", s.high_freq_factor);
  }
  if (s.kind == RopeKind::yarn) {
    positive("beta_fast", s.beta_fast), positive("beta_slow", s.beta_slow);
    check(s.beta_slow <= s.beta_fast, what, ".beta_slow ", s.beta_slow, " is above beta_fast ", s.beta_fast);
  }
  if (s.attention_factor) positive("attention_factor", *s.attention_factor);
  if (s.kind != RopeKind::longrope) return;
  check(s.original_context >= 2, what, ": longrope needs an original_context of at least 2");
  check(!s.short_factor.empty() && s.short_factor.size() == s.long_factor.size(), what,
        ": longrope needs short_factor and long_factor, lists of one length");
  for (const std::vector<double>* factors : {&s.short_factor, &s.long_factor})
    for (const double f : *factors) positive("short_factor and long_factor", f);
}

}  // namespace

RopeScaling rope_scaling_from_json(const Json& json, const std::string& what) {
  const std::vector<std::string> kinds(rope_kind_names.begin(), rope_kind_names.end());
  check(json.is_object() && json.contains("kind"), what, ": needs \"kind\": ", engine::one_of(kinds));
  const std::string word = engine::json_string(json["kind"], what + ".kind");
  const auto name = std::find(rope_kind_names.begin(), rope_kind_names.end(), word);
  check(name != rope_kind_names.end(), what, ".kind \"", word.substr(0, 40), "\" is not ",
        engine::one_of(kinds));
  RopeScaling s{.kind = RopeKind(name - rope_kind_names.begin())};
  std::vector<std::string> known = {"kind", "factor"};
  const auto number = [&](const char* key, double& value) {
    known.push_back(key);
    if (json.contains(key)) value = engine::json_number(json[key], what + "." + key);
  };
  check(json.contains("factor"), what, ": needs \"factor\"");
  number("factor", s.factor);
  if (s.kind != RopeKind::linear) {
    known.push_back("original_context");
    if (json.contains("original_context"))
      s.original_context =
          engine::json_int(json["original_context"], what + ".original_context", 1, int64_t(1) << 26);
  }
  if (s.kind == RopeKind::llama3)
    number("low_freq_factor", s.low_freq_factor), number("high_freq_factor", s.high_freq_factor);
  if (s.kind == RopeKind::yarn) {
    number("beta_fast", s.beta_fast), number("beta_slow", s.beta_slow);
    known.push_back("truncate");
    if (json.contains("truncate")) s.truncate = engine::json_bool(json["truncate"], what + ".truncate");
  }
  if (s.kind == RopeKind::yarn || s.kind == RopeKind::longrope) {
    double factor = 0;
    number("attention_factor", factor);
    if (json.contains("attention_factor")) s.attention_factor = factor;
  }
  const auto factors = [&](const char* key, std::vector<double>& values) {
    known.push_back(key);
    if (!json.contains(key)) return;
    check(json[key].is_array() && json[key].size() <= 65536, what, ".", key, ": expected a list of numbers");
    for (const Json& value : json[key]) values.push_back(engine::json_number(value, what + "." + key));
  };
  if (s.kind == RopeKind::longrope)
    factors("short_factor", s.short_factor), factors("long_factor", s.long_factor);
  engine::check_keys(json, known, what);
  check_numbers(s, what);
  return s;
}

Json to_json(const RopeScaling& s) {
  Json json = {{"kind", rope_kind_names[size_t(s.kind)]}, {"factor", s.factor}};
  if (s.kind != RopeKind::linear) json["original_context"] = s.original_context;
  if (s.kind == RopeKind::llama3)
    json["low_freq_factor"] = s.low_freq_factor, json["high_freq_factor"] = s.high_freq_factor;
  if (s.kind == RopeKind::yarn) {
    json["beta_fast"] = s.beta_fast, json["beta_slow"] = s.beta_slow;
    if (!s.truncate) json["truncate"] = false;
  }
  if (s.attention_factor) json["attention_factor"] = *s.attention_factor;
  if (s.kind == RopeKind::longrope)
    json["short_factor"] = s.short_factor, json["long_factor"] = s.long_factor;
  return json;
}

engine::RopeAngles rope_angles(int64_t n, int64_t turning, double theta,
                               const std::optional<RopeScaling>& scaling, bool long_rows) {
  engine::RopeAngles angles = engine::plain_rope_angles(turning, theta);
  if (scaling) stretch(angles, turning, theta, *scaling, long_rows);
  angles.frequencies.resize(size_t(n / 2), 0.0);
  return angles;
}

}  // namespace models
