// Read first: init.h.
#include "models/init.h"

#include <cmath>

#include "engine/base/philox.h"
#include "engine/base/text.h"
#include "engine/ops/random.h"
#include "engine/ops/unit.h"
#include "models/parameter_list.h"

namespace models {

using engine::check;
using engine::fill_random;
using engine::Law;
using engine::Rng;

namespace {

bool contains(const std::string& name, const char* part) { return name.find(part) != std::string::npos; }

// What a matrix does, told by its name; rules treat these alike.
enum class Role { embedding, positions, head, qkv, attention_out, feed_forward_in, feed_forward_out, other };

Role role_of(const std::string& name) {
  if (name.starts_with("embed.positions")) return Role::positions;
  if (name.starts_with("embed.") && !contains(name, "projection")) return Role::embedding;
  if (name == "head.weight") return Role::head;
  if (contains(name, ".attn.qkv.")) return Role::qkv;
  if (contains(name, ".attn.out.")) return Role::attention_out;
  if (contains(name, ".up.") || contains(name, ".gate.")) return Role::feed_forward_in;
  if (contains(name, ".down.")) return Role::feed_forward_out;
  return Role::other;
}

struct Item {
  const ModelConfig& config;
  const std::string& name;
  Tensor values;  // [out, in], or [out] for a bias
  Role role;
  int64_t layer;  // -1 outside layers
  int64_t fan_in, fan_out;
  bool is_bias;
  Rng rng;
};

bool is_output(const Item& item) {
  return item.role == Role::attention_out || item.role == Role::feed_forward_out;
}
double depth_factor(const ModelConfig& c) { return 1 / std::sqrt(2.0 * double(c.layers)); }

void gaussian(Item& item, Law law, double sigma, bool scale_outputs) {
  if (item.is_bias) return item.values.fill(0);
  fill_random(item.values, law, scale_outputs && is_output(item) ? sigma * depth_factor(item.config) : sigma,
              item.rng);
}

// Rows of qkv.weight as three matrices with their own Xavier bound and factor.
void xavier_qkv(Item& item, double qk_gain, double v_gain) {
  const ModelConfig& c = item.config;
  const int64_t bounds[] = {0, c.q_width(), c.q_width() + c.kv_width(), c.q_width() + 2 * c.kv_width()};
  for (int part = 0; part < 3; ++part) {
    const Tensor rows = item.values.slice(0, bounds[part], bounds[part + 1]);
    const double gain = part == 2 ? v_gain : qk_gain;
    fill_random(rows, Law::uniform, gain * std::sqrt(6.0 / double(item.fan_in + rows.size(0))), item.rng);
  }
}

void fairseq(Item& item, double beta = 1) {
  const double d = double(item.config.width);
  switch (item.role) {
    case Role::embedding:
    case Role::positions:
    case Role::head:
      return item.is_bias
                 ? item.values.fill(0)
                 : fill_random(item.values, Law::normal, 1 / std::sqrt(double(item.fan_in)), item.rng);
    case Role::qkv:
      if (item.is_bias) return fill_random(item.values, Law::uniform, 1 / std::sqrt(d), item.rng);
      return xavier_qkv(item, std::sqrt(0.5), beta * std::sqrt(0.5));
    case Role::attention_out:
    case Role::other:
      if (item.is_bias) return item.values.fill(0);
      return fill_random(
          item.values, Law::uniform,
          (item.role == Role::other ? 1 : beta) * std::sqrt(6.0 / double(item.fan_in + item.fan_out)),
          item.rng);
    default: return fill_random(item.values, Law::uniform, beta / std::sqrt(double(item.fan_in)), item.rng);
  }
}

void deepnorm(Item& item) {
  const double beta = std::pow(8.0 * double(item.config.layers), -0.25);
  if (item.role == Role::embedding || item.role == Role::positions || item.role == Role::head)
    return fairseq(item);
  if (item.is_bias) return item.values.fill(0);
  if (item.role == Role::qkv) return xavier_qkv(item, 1, beta);
  const double gain = item.role == Role::other ? 1 : beta;
  fill_random(item.values, Law::uniform, gain * std::sqrt(6.0 / double(item.fan_in + item.fan_out)),
              item.rng);
}

void megatron(Item& item, bool scale_outputs) {
  const double d = double(item.config.width);
  if (item.role == Role::head && scale_outputs)
    return gaussian(item, Law::truncated, 1 / std::sqrt(d), false);
  gaussian(item, Law::truncated, 1 / std::sqrt(2.5 * d), scale_outputs);
}

void depth_scaled(Item& item) {
  const double l = double(item.layer + 1);
  double sigma = 1 / std::sqrt(double(item.config.width));
  if (is_output(item)) sigma = 1 / std::sqrt(2 * double(item.fan_in) * l);
  gaussian(item, Law::truncated, sigma, false);
}

struct Rule {
  const char *name, *about;
  void (*apply)(Item&);
};
const Rule kRules[] = {
    {"fairseq", "embeddings N(0, width^-1/2), matrices uniform as fairseq has them",
     [](Item& i) { fairseq(i); }},
    {"bert", "N(0, 0.02), biases 0", [](Item& i) { gaussian(i, Law::normal, 0.02, false); }},
    {"gpt2", "N(0, 0.02), biases 0", [](Item& i) { gaussian(i, Law::normal, 0.02, false); }},
    {"gpt3", "N(0, 0.02), outputs of attention and feed-forward / sqrt(2 layers)",
     [](Item& i) { gaussian(i, Law::normal, 0.02, true); }},
    {"megatron", "truncated N(0, 1/sqrt(2.5 width)), outputs / sqrt(2 layers)",
     [](Item& i) { megatron(i, true); }},
    {"normal", "megatron's sigma for every matrix, without the depth factor",
     [](Item& i) { megatron(i, false); }},
    {"depth", "inputs 1/sqrt(width), outputs smaller with depth, truncated", depth_scaled},
    {"deepnorm", "Xavier; values, outputs and feed-forward times (8 layers)^-1/4", deepnorm},
    {"subln", "fairseq; values, outputs and feed-forward times sqrt(ln 2 layers)",
     [](Item& i) { fairseq(i, std::sqrt(std::log(2.0 * double(i.config.layers)))); }},
    {"admin", "fairseq; then one batch sets the residual scales", [](Item& i) { fairseq(i); }},
    {"ngpt", "N(0, 1/sqrt(width)), rows made unit vectors",
     [](Item& i) { gaussian(i, Law::normal, 1 / std::sqrt(double(i.config.width)), false); }},
};

int64_t layer_of(const std::string& name) {
  return name.starts_with("layers.") ? std::stoll(name.substr(7)) : -1;
}

}  // namespace

Rng parameter_rng(const std::string& name, uint64_t seed) {
  uint64_t hash = 1469598103934665603ull;  // FNV-1a
  for (char letter : name) hash = (hash ^ uint8_t(letter)) * 1099511628211ull;
  return Rng{hash ^ (seed * 0x9E3779B97F4A7C15ull)};
}

std::string default_init(const ModelConfig& config) {
  if (is_ngpt(config)) return "ngpt";
  return config.objective == Objective::clm ? "gpt3" : "bert";
}

namespace {

const Rule& find_rule(const ModelConfig& config, const std::string& wanted) {
  std::string name = wanted.empty() ? init_rule(config) : wanted;
  if (name.empty()) name = default_init(config);
  const Rule* rule = nullptr;
  std::vector<std::string> names;
  for (const Rule& r : kRules) {
    if (name == r.name) rule = &r;
    names.emplace_back(r.name);
  }
  check(rule != nullptr, "init: unknown rule \"", name, "\"",
        engine::near_hint(name, names, " (nearest: \""));
  return *rule;
}

}  // namespace

std::vector<InitRule> init_rules() {
  std::vector<InitRule> out;
  for (const Rule& rule : kRules) out.push_back({rule.name, rule.about});
  return out;
}

void check_init(const ModelConfig& config, const std::string& rule) {
  if (std::string(find_rule(config, rule).name) != "admin") return;
  const std::vector<nn::LayerSlots> layers = nn::resolve_layers(config.norms, config.layers);
  for (size_t i = 0; i < layers.size(); ++i) {
    const bool attn = layers[i].attn.res.learned(), ffn = layers[i].ffn.res.learned();
    check(attn && ffn, "init: admin sets the residual scales of every sublayer, and layer ", i,
          " has none in ", attn ? "ffn" : "attn", "{} (res=vector)");
  }
}

void initialise(Transformer& model, const std::string& wanted, uint64_t seed) {
  const ModelConfig& config = model.config();
  const Rule& rule = find_rule(config, wanted);
  for (const ParameterInfo& info : parameter_list(config)) {
    const Tensor& values = model.parameters()[info.name].value;
    if (info.initial) {
      values.fill(*info.initial);
      continue;
    }
    const bool is_bias = info.group == ParameterGroup::bias;
    // Drawn in at least f32; parameters without f32 masters are rounded once.
    // And on the host, so that every device begins with the same bits.
    const bool apart =
        engine::compute_dtype(values.dtype()) != values.dtype() || values.device() != engine::Device::cpu;
    const Tensor drawn =
        apart ? Tensor::empty(values.shape(), engine::compute_dtype(values.dtype())) : values;
    // A stack of expert matrices [E, out, in] is drawn as one; fans are those of a matrix.
    Item item{config,
              info.name,
              drawn,
              role_of(info.name),
              layer_of(info.name),
              is_bias ? 1 : values.size(-1),
              values.rank() >= 2 ? values.size(-2) : values.size(-1),
              is_bias,
              parameter_rng(info.name, seed)};
    if (is_bias && config.width > 0) {  // fairseq draws biases by the fan of their matrix
      const std::string matrix = info.name.substr(0, info.name.size() - 4) + "weight";
      if (const Parameter* w = model.parameters().find(matrix)) item.fan_in = w->value.size(-1);
    }
    rule.apply(item);
    if (apart) values.copy_from(drawn);
  }
  normalize_ngpt(model);
  model.parameters().refresh_copies();
}

// ------------------------------------------------------------------------------------------------- Admin

namespace {

double variance(const Tensor& t) {
  const std::vector<double> values = t.to_vector();
  double sum = 0, squares = 0;
  for (double x : values) sum += x, squares += x * x;
  const double n = double(values.size());
  return squares / n - sum / n * (sum / n);
}

struct JoinVariances : nn::Probe {
  std::vector<std::pair<double, double>> of_sublayer;  // residual, branch
  void on_branch(int64_t, bool, const Tensor& residual, const Tensor& branch) override {
    of_sublayer.emplace_back(variance(residual), variance(branch));
  }
};

}  // namespace

void admin_profile(Transformer& model, const InputRows& tokens) {
  nn::Parameters& parameters = model.parameters();
  const auto scale_of = [&](int64_t i) {
    return &parameters[engine::join_text("layers.", i / 2, i % 2 ? ".ffn" : ".attn", ".res_scale")];
  };
  const int64_t sublayers = 2 * model.config().layers;
  for (int64_t i = 0; i < sublayers; ++i) scale_of(i)->value.fill(1);
  parameters.refresh_copies();
  JoinVariances joins;
  nn::Context context = model.context();
  context.probe = &joins;
  const engine::TapeScope off(nullptr);
  model.hidden(tokens, context, context.precision.stream);
  double v = 1;
  for (int64_t i = 0; i < sublayers; ++i) {
    const auto [residual, branch] = joins.of_sublayer[size_t(i)];
    scale_of(i)->value.fill(std::sqrt(v));
    v = v * residual + branch;
  }
  parameters.refresh_copies();
}

// ------------------------------------------------------------------------------------------------- nGPT

bool is_ngpt(const ModelConfig& config) { return config.norms.stream.kind == nn::StreamKind::ngpt; }

void normalize_ngpt(const Transformer& model, const Parameter& p, const Tensor& value) {
  const auto group = model.parameters().group(p);
  if (group != ParameterGroup::matrix && group != ParameterGroup::embedding) return;
  const Role role = role_of(p.name);
  const bool columns = role == Role::attention_out || role == Role::feed_forward_out;
  engine::make_unit(value, columns ? engine::Lines::columns : engine::Lines::rows);
}

void normalize_ngpt(Transformer& model) {
  if (!is_ngpt(model.config())) return;
  for (const Parameter* p : model.parameters().all()) normalize_ngpt(model, *p, p->value);
  model.parameters().refresh_copies();
}

}  // namespace models
