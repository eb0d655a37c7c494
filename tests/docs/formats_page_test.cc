// The answers to the exercises of docs/14-other-formats.md.
#include <catch2/catch.hpp>

#include "models/hf/architecture.h"
#include "models/hf/name_map.h"
#include "models/parameter_list.h"
#include "nn/norm_presets.h"

using namespace engine;
using Catch::Matchers::Contains;

namespace {

Json gpt2_config() {
  return {{"model_type", "gpt2"}, {"architectures", {"GPT2LMHeadModel"}},
          {"vocab_size", 50257},  {"n_positions", 1024},
          {"n_embd", 768},        {"n_layer", 12},
          {"n_head", 12}};
}
Json llama_config() {
  return {{"model_type", "llama"},   {"architectures", {"LlamaForCausalLM"}},
          {"vocab_size", 100},       {"max_position_embeddings", 32},
          {"hidden_size", 64},       {"num_hidden_layers", 2},
          {"intermediate_size", 96}, {"num_attention_heads", 8},
          {"num_key_value_heads", 2}};
}

}  // namespace

TEST_CASE("exercise 14.1: a transposed matrix") {
  const Tensor theirs = Tensor::from({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, {2, 6});
  const models::MappedTensor row{
      "layers.0.attn.qkv.weight", {6, 2}, models::Layout::transposed, {{"h.0.attn.c_attn.weight", {2, 6}}}};
  const Tensor ours = models::join_parts(row, {theirs});
  CHECK(ours.shape() == Shape{6, 2});
  CHECK(ours.slice(0, 0, 1).to_vector() == std::vector<double>{1, 7});
}

TEST_CASE("exercise 14.2: grouped heads") {
  const models::ModelConfig llama = models::read_hf_config(llama_config(), "config.json").config;
  CHECK(llama.q_width() + 2 * llama.kv_width() == 96);
}

TEST_CASE("exercise 14.3: GPT-2's placement") {
  const models::ModelConfig gpt2 = models::read_hf_config(gpt2_config(), "config.json").config;
  CHECK(print(gpt2.norms) == "attn{in=ln} ffn{in=ln} final=ln");
  CHECK(gpt2.norms == nn::read_norms("pre_ln", {}).spec);
}

TEST_CASE("exercise 14.4: GPT-2's parameters") {
  const models::ModelConfig gpt2 = models::read_hf_config(gpt2_config(), "config.json").config;
  CHECK(models::parameter_count(gpt2) == 124439808);
  CHECK((50257 + 1024) * 768 + 12 * (12 * 768 * 768 + 13 * 768) + 2 * 768 == 124439808);
}

TEST_CASE("exercise 14.5: unknown keys") {
  Json config = gpt2_config();
  config["a_new_idea"] = 0.5;
  CHECK_THROWS_WITH(models::read_hf_config(config, "config.json"), Contains("a_new_idea"));
}
