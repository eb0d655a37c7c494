// Static probes, and probes over twenty clipped AdamW updates, against PyTorch's numbers for five placements.
#include <catch2/catch.hpp>
#include <cmath>

#include "engine/base/json.h"
#include "engine/cpu/parallel.h"
#include "models/model_files.h"
#include "shared_data.h"
#include "train/optimizer.h"
#include "train/probes/saved_model.h"

using namespace train;
using engine::Json;

namespace {

// Relative to the reference's number, however small; what is no number passes nowhere.
struct Limit {
  double relative;
  void check(const Json& expected, double ours) const {
    const double theirs = expected.get<double>();
    INFO(ours << " beside " << theirs);
    CHECK(std::fabs(ours - theirs) <= relative * std::fabs(theirs));
  }
};

void check_gradients(const Limit& limit, const GradientRecord& ours, const Json& expected) {
  limit.check(expected["loss"], ours.loss);
  limit.check(expected["grad_norm"], ours.norm);
  for (size_t l = 0; l < ours.layers.size(); ++l) {
    INFO("layer " << l);
    const Json& layer = expected["layers"][l];
    limit.check(layer["w2_grad_mean_abs"], ours.layers[l].w2_grad);
    limit.check(layer["grad_norm"], ours.layers[l].grad_norm);
    CHECK(ours.layers[l].parameters.size() == layer["parameters"].size());
    for (const auto& [name, norm] : ours.layers[l].parameters) {
      INFO(name);
      limit.check(layer["parameters"][name], norm);
    }
  }
}

void check_gains(const Limit& limit, const std::vector<LayerGain>& ours, const Json& expected) {
  CHECK(ours.size() == expected.size());
  for (const Json& gain : expected) {
    INFO(gain["layer"] << " " << gain["name"]);
    const auto found = std::find_if(ours.begin(), ours.end(), [&](const LayerGain& g) {
      return g.layer == gain["layer"].get<int64_t>() && g.name == gain["name"].get<std::string>();
    });
    REQUIRE(found != ours.end());
    limit.check(gain["mean"], found->mean);
    limit.check(gain["sd"], found->sd);
    limit.check(gain["min"], found->min);
    limit.check(gain["max"], found->max);
    limit.check(gain["rms"], found->rms);
  }
}

void check_attention(const Limit& limit, const std::vector<LayerAttention>& ours, const Json& expected) {
  REQUIRE(ours.size() == expected.size());
  for (size_t l = 0; l < ours.size(); ++l) {
    INFO("layer " << l);
    limit.check(expected[l]["entropy"], ours[l].entropy);
    limit.check(expected[l]["relative"], *ours[l].relative);
    for (size_t h = 0; h < ours[l].per_head.size(); ++h)
      limit.check(expected[l]["per_head"][h], ours[l].per_head[h]);
  }
}

const std::vector<std::string> placements = {"pre_ln", "post_ln", "normformer", "hybridnorm",
                                             "hybridnorm_star"};

struct Where {
  engine::DType dtype;
  engine::Device device = engine::Device::cpu;
};

OpenModel open_with_gradients(const std::string& folder, const Where& where) {
  nn::Precision precision = nn::Precision::of(where.dtype);
  precision.device = where.device;
  return open_model(folder, precision, "", nn::Gradients::allocated);
}

void check_static(const Where& where, const Limit& limit,
                  const std::vector<std::string>& names = placements) {
  const std::string root = shared_path("reference/probes");
  if (root.empty()) return;
  for (const std::string& name : names) {
    INFO(name);
    const std::string folder = root + "/" + name;
    const Json expected = engine::read_json(folder + "/expected.json");
    const OpenModel open = open_with_gradients(folder, where);
    const ProbeRows rows = rows_of_file(open, folder + "/tokens.json");
    check_gradients(limit, gradients_on(*open.model, rows, 0), expected["step1"]);
    check_gains(limit, layer_gains(*open.model), expected["step1"]["gains"]);
    const auto attention = attention_on(*open.model, rows);
    check_attention(limit, attention, expected["step1"]["attention"]);
    for (size_t l = 0; l < attention.size(); ++l) {
      const std::string layer = "layers." + std::to_string(l);
      limit.check(expected["step1"]["residual_rms"][layer + ".attn"], attention[l].attn_rms);
      limit.check(expected["step1"]["residual_rms"][layer + ".ffn"], attention[l].ffn_rms);
    }
  }
}

/// Of each trace the first `updates`; with all 20 what comes after them.
void check_updates(const Where& where, const Limit& limit, const std::vector<std::string>& names = placements,
                   size_t updates = 20) {
  const std::string root = shared_path("reference/probes");
  if (root.empty()) return;
  const Json batches = engine::read_json(root + "/batches.json")["batches"];
  for (const std::string& name : names) {
    INFO(name);
    const Json expected = engine::read_json(root + "/" + name + "/expected.json");
    const OpenModel open = open_with_gradients(root + "/" + name, where);
    OptimConfig config;
    config.betas = {0.9, 0.95};
    config.eps = 1e-8;
    config.weight_decay = 0.1;
    config.decay = DecayGroup::matrices;
    Optimizer optimizer(open.model->parameters(), config);
    WindowMean mean({11, 20});
    for (size_t i = 0; i < updates; ++i) {
      INFO("update " << i + 1);
      const ProbeRows rows = {
          models::token_batch({{"input_ids", batches[i]}}, open.model->config(), "batches.json")};
      GradientRecord record = gradients_on(*open.model, rows, 0);
      record.step = int64_t(i) + 1;
      const Json& step = expected["steps"][i];
      limit.check(step["loss"], record.loss);
      limit.check(step["grad_norm"], record.norm);
      for (size_t l = 0; l < record.layers.size(); ++l) {
        limit.check(step["w2_grad"][l], record.layers[l].w2_grad);
        limit.check(step["layer_grad_norm"][l], record.layers[l].grad_norm);
      }
      optimizer.step(2e-3, std::min(1.0, 0.25 / (record.norm + 1e-6)) / double(scored_positions(rows)));
      mean.add(record);
    }
    if (updates < batches.size()) continue;
    check_gains(limit, layer_gains(*open.model), expected["gains_after"]);
    check_attention(limit, attention_on(*open.model, rows_of_file(open, root + "/" + name + "/tokens.json")),
                    expected["attention_after"]);
    const auto window = mean.mean();
    for (size_t l = 0; l < window.size(); ++l)
      limit.check(expected["window_11_20"]["w2_grad"][l], window[l].w2_grad);
    limit.check(expected["window_11_20"]["ratio_first_last"], window.front().w2_grad / window.back().w2_grad);
  }
}

}  // namespace

TEST_CASE("gradients, gains, attention and streams of five placements agree with PyTorch in f64") {
  check_static({engine::DType::f64}, {1e-9});
}

TEST_CASE("the same in f32") { check_static({engine::DType::f32}, {1e-4}); }

TEST_CASE("twenty updates: gradients before clipping, their window, gains and attention after") {
  check_updates({engine::DType::f64}, {1e-9});
}

TEST_CASE("twenty updates in f32") { check_updates({engine::DType::f32}, {1e-4}); }

#if defined(ENGINE_HAS_cuda_host)
TEST_CASE("probes of two placements on cuda-host agree with PyTorch in f64 and in f32", "[medium]") {
  check_static({engine::DType::f64, engine::Device::cuda_host}, {1e-9}, {"pre_ln", "hybridnorm_star"});
  check_static({engine::DType::f32, engine::Device::cuda_host}, {1e-4}, {"normformer"});
}

TEST_CASE("the first updates and their gradients on cuda-host agree with PyTorch in f64", "[medium]") {
  check_updates({engine::DType::f64, engine::Device::cuda_host}, {1e-9}, {"normformer"}, 3);
}
#endif
