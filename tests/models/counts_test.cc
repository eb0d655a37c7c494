// Published parameter counts, exactly; FLOPs and memory; names and shapes against files that other code
// wrote.
#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>

#include "engine/base/file.h"
#include "models/flops.h"
#include "models/parameter_list.h"
#include "models/size_presets.h"
#include "shared_data.h"

using namespace models;

namespace {

int64_t count(const std::string& preset, const std::string& norms) {
  ModelConfig config = find_size_preset(preset).config;
  set_norms(config, norms);
  return parameter_count(checked(config));
}

std::map<std::string, std::vector<int64_t>> shapes(const ModelConfig& config) {
  std::map<std::string, std::vector<int64_t>> by_name;
  for (const ParameterInfo& p : parameter_list(config)) REQUIRE(by_name.emplace(p.name, p.shape).second);
  return by_name;
}

}  // namespace

TEST_CASE("counts: NormFormer's causal models", "[counts]") {
  struct Row {
    const char* size;
    int64_t baseline, normformer, with_scale;
  };
  const Row rows[] = {{"gpt-125m", 124377600, 124469904, 124479120},
                      {"gpt-355m", 354740224, 354986368, 355010944},
                      {"gpt-1.3b", 1313460224, 1313952512, 1314001664},
                      {"gpt-2.7b", 2648724480, 2649544704, 2649626624}};
  for (const Row& row : rows) {
    CHECK(count(row.size, "pre_ln") == row.baseline);
    CHECK(count(row.size, "normformer") == row.normformer);
    CHECK(count(row.size, "normformer+r") == row.with_scale);
  }
}

TEST_CASE("counts: RoBERTa", "[counts]") {
  CHECK(count("roberta-base", "pre_ln") == 125415680);
  CHECK(count("roberta-base", "normformer") == 125507984);
  CHECK(count("roberta-base", "normformer+r") == 125517200);
  ModelConfig published = model_preset("roberta-base");
  published.vocab_size = 50265;
  CHECK(parameter_count(published) == 124696665);
  set_norms(published, "roberta");
  CHECK(parameter_count(published) == 124696665);
}

TEST_CASE("counts: WikiText-103 with adaptive input and softmax", "[counts]") {
  CHECK(parameter_count(model_preset("wikitext103-base")) == 246933504);
  CHECK(count("wikitext103-base", "attn{in=ln out=ln gain=inner} ffn{in=ln mid=ln}") == 246933504 + 163968);
  const auto by_name = shapes(model_preset("wikitext103-base"));
  CHECK(by_name.at("embed.bands.2.weight") == std::vector<int64_t>{207744, 64});
  CHECK(by_name.at("embed.bands.1.projection.weight") == std::vector<int64_t>{1024, 256});
  CHECK(by_name.at("head.clusters.weight") == std::vector<int64_t>{2, 1024});
  CHECK(by_name.count("embed.tokens.weight") == 0);
}

TEST_CASE("counts: HybridNorm's family", "[counts]") {
  CHECK(count("hybridnorm-151m", "hybridnorm") == 151399872);
  CHECK(count("hybridnorm-285m", "hybridnorm") == 285228288);
  CHECK(count("hybridnorm-550m", "hybridnorm") == 550533120);
  CHECK(count("hybridnorm-543m-deep", "hybridnorm") == 543722944);
  CHECK(count("hybridnorm-1.2b", "hybridnorm") == 1178637312);
  ModelConfig paper = model_preset("hybridnorm-1.2b");
  paper.ffn_width = 9192;
  CHECK(parameter_count(paper) == 1276941312);
  CHECK(count("hybridnorm-550m", "hybridnorm*") == 550533120 + 1536);
}

TEST_CASE("counts: a mixture of experts, 1B active of 7B", "[counts]") {
  const ModelConfig moe = model_preset("moe-1b-7b");
  const int64_t layer_matrices = 4 * 2048 * 2048 + 64 * 2048 + 64 * 3 * 2048 * 1024;
  const int64_t norms =
      16 * (3 * 128 + 2048) + 2048 + 2048;  // q, k, v, post in each layer; layer 0's attention; final
  CHECK(parameter_count(moe) == 2 * 50304 * 2048 + 16 * layer_matrices + norms);
  const int64_t active = 16 * (4 * 2048 * 2048 + 64 * 2048 + 8 * 3 * 2048 * 1024) + 50304 * 2048;
  CHECK(flops_per_token(moe, 4096).matrix_parameters == active);
}

TEST_CASE("counts: FLOPs per token", "[counts]") {
  const ModelConfig gpt = model_preset("gpt-125m");
  const FlopsPerToken flops = flops_per_token(gpt, 1024);
  CHECK(flops.matrix_parameters == 12 * 12 * 768 * 768 + 51200 * 768);
  CHECK(flops.matrices == 6.0 * double(flops.matrix_parameters));
  CHECK(flops.attention == 12.0 * 12 * 768 * 1024);
  CHECK(flops.total_causal() == flops.matrices + flops.attention / 2);
  ModelConfig untied = gpt;
  untied.tied = false;
  CHECK(flops_per_token(untied, 1024).matrix_parameters == flops.matrix_parameters);
}

TEST_CASE("counts: memory plan", "[counts]") {
  const ModelConfig gpt = model_preset("gpt-125m");
  const MemoryPlan plan = memory_plan(gpt, 8, 1024, 4);
  CHECK(plan.parameters == 4.0 * 124377600);
  CHECK(plan.moments == 8.0 * 124377600);
  CHECK(memory_plan(gpt, 16, 1024, 2).activations == plan.activations);
  // Per token and layer: input of W_qkv d, q k v 3d, output d, log-sum-exp h, input of W_1 d, pre-activation
  // f, two norms d each.
  CHECK(plan.activations == (12.0 * (8 * 768 + 12 + 3072) + 2 * 768) * 8 * 1024 * 4);
  // The activation itself is kept where something stands between it and the second product.
  CHECK(memory_plan(gpt, 8, 1024, 4, true).activations == plan.activations + 12.0 * 3072 * 8 * 1024 * 4);
  ModelConfig normed = gpt;
  set_norms(normed,
            "attn{in=ln} ffn{in=ln mid=ln} final=ln");  // the norm's result: it takes the pre-activation
  CHECK(memory_plan(normed, 8, 1024, 4).activations == plan.activations + 12.0 * 3072 * 8 * 1024 * 4);
}

TEST_CASE("counts: nGPT, two streams, shared scales, classification", "[counts]") {
  ModelConfig config = model_preset("char-clm");
  set_norms(config, "ngpt");
  CHECK(config.activation == nn::Activation::swiglu);
  config.tied = false;
  auto by_name = shapes(checked(config));
  CHECK(by_name.at("layers.3.attn.step") == std::vector<int64_t>{128});
  CHECK(by_name.at("layers.3.ffn.step") == std::vector<int64_t>{128});
  CHECK(by_name.at("layers.0.attn.qk_scale") == std::vector<int64_t>{128});
  CHECK(by_name.at("layers.0.ffn.uv_scale") == std::vector<int64_t>{1024});
  CHECK(by_name.at("head.logit_scale") == std::vector<int64_t>{256});
  for (const auto& [name, shape] : by_name) CHECK(name.find("norm") == std::string::npos);

  ModelConfig plain = model_preset("char-clm"), two = plain;
  set_norms(plain, "attn{post=ln} ffn{post=ln} final=ln");
  set_norms(two, "residual");
  CHECK(shapes(plain) == shapes(two));

  set_norms(plain, "rezero");
  by_name = shapes(checked(plain));
  CHECK(by_name.at("layers.2.branch_scale").empty());
  CHECK(by_name.count("layers.2.attn.branch_scale") == 0);
  for (const ParameterInfo& p : parameter_list(checked(plain)))
    if (p.name == "layers.2.branch_scale") CHECK(p.initial == 0.0);

  ModelConfig glue = model_preset("char-mlm");
  glue.objective = Objective::classify;
  glue.classes = 3;
  by_name = shapes(checked(glue));
  CHECK(by_name.at("classify.out.weight") == std::vector<int64_t>{3, 128});
  CHECK(by_name.count("head.bias") == 0);
}

TEST_CASE("counts: groups", "[counts]") {
  ModelConfig config = model_preset("tiny-mlm");
  set_norms(
      config,
      "attn{in=dyt q=l2.head out=ln(bias=0) gain=inner} ffn{in=ln mid=ln res=vector} embed=ln final=ln");
  const std::map<std::string, ParameterGroup> expected = {
      {"embed.tokens.weight", ParameterGroup::embedding},
      {"embed.positions.weight", ParameterGroup::embedding},
      {"embed.norm.bias", ParameterGroup::norm},
      {"layers.0.attn.in_norm.alpha", ParameterGroup::norm},
      {"layers.0.attn.q_norm.weight", ParameterGroup::norm},
      {"layers.0.attn.qkv.weight", ParameterGroup::matrix},
      {"layers.0.attn.qkv.bias", ParameterGroup::bias},
      {"layers.0.attn.head_gain", ParameterGroup::gain},
      {"layers.0.ffn.res_scale", ParameterGroup::gain},
      {"mlm.dense.weight", ParameterGroup::matrix},
      {"mlm.norm.weight", ParameterGroup::norm},
      {"head.bias", ParameterGroup::bias}};
  size_t found = 0;
  for (const ParameterInfo& p : parameter_list(checked(config)))
    if (const auto at = expected.find(p.name); at != expected.end()) {
      INFO(p.name);
      CHECK(p.group == at->second);
      ++found;
    }
  CHECK(found == expected.size());
  CHECK(shapes(config).count("layers.0.attn.out_norm.bias") == 0);
  CHECK(parameter_list(config).front().name == "embed.tokens.weight");
  CHECK(parameter_list(config).back().name == "head.bias");
}

TEST_CASE("counts: names and shapes of every reference model", "[counts]") {
  const std::string root = shared_path("reference");
  if (root.empty()) return;
  int models = 0;
  for (const auto& folder : std::filesystem::directory_iterator(root)) {
    const std::string name = folder.path().filename();
    if (name.starts_with("hf_") || !std::filesystem::exists(folder.path() / "config.json")) continue;
    INFO(name);
    const ModelConfig config = read_model_config(folder.path() / "config.json");
    CHECK(model_config_from_json(to_json(config), name) == config);
    std::map<std::string, std::vector<int64_t>> stored;
    const std::string bytes = engine::read_file(folder.path() / "model.safetensors");
    uint64_t header = 0;
    std::memcpy(&header, bytes.data(), 8);
    const engine::Json tensors = engine::parse_json(bytes.substr(8, header), name);
    for (const auto& [tensor, about] : tensors.items())
      if (tensor != "__metadata__") stored[tensor] = about["shape"].get<std::vector<int64_t>>();
    CHECK(shapes(config) == stored);
    ++models;
  }
  CHECK(models == 67);
}
