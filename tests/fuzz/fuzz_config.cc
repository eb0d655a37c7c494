// Fuzzing JSON that describes models and runs: our config.json, Hugging Face's, a training config with --set
// overrides, and the token file of `forward`. The first byte chooses; nothing of a model's size may be
// allocated before its config is accepted.
#include "fuzz.h"
#include "models/config.h"
#include "models/flops.h"
#include "models/hf_architecture.h"
#include "models/parameter_list.h"
#include "models/token_file.h"
#include "train/config.h"

namespace {

enum Form : uint8_t { model_form, hf_form, run_form, set_form, token_form, forms };

const char* const kModel =
    R"({"format":"normlab-model","version":1,"objective":"clm","vocab_size":50,"context":16,"layers":2,)"
    R"("width":8,"heads":2,"ffn_width":32,"activation":"gelu","positions":"learned","norms":"pre_ln"})";

void use(const models::ModelConfig& config) {
  require(models::model_config_from_json(models::to_json(config), "again") == config);
  if (config.layers > 64) return;
  fuzz_one([&] { models::parameter_count(config); });
  fuzz_one([&] { models::flops_per_token(config, config.context); });
  fuzz_one([&] { models::write_hf_config(config, engine::Json::object()); });
}

}  // namespace

std::vector<std::string> fuzz_seeds() {
  const auto model = [](const std::string& more) {
    std::string text = kModel;
    text.pop_back();
    return char(model_form) + text + "," + more + "}";
  };
  return {
      char(model_form) + std::string(kModel),
      model(
          R"("bias":{"qkv":true,"out":false,"ffn":true},"kv_heads":1,"head_dim":4,"rope_theta":500,"tied":false)"),
      model(R"("experts":4,"experts_per_token":2,"router_normalize":true,"attn_softcap":30,"gain_offset":1)"),
      model(
          R"("adaptive":{"cutoffs":[10,20],"factor":2},"token_types":2,"position_offset":2,"norm_eps":1e-6)"),
      char(hf_form) +
          std::string(R"({"model_type":"gpt2","n_embd":8,"n_layer":2,"n_head":2,"n_positions":16,)"
                      R"("vocab_size":50,"layer_norm_epsilon":1e-5,"activation_function":"gelu_new"})"),
      char(hf_form) + std::string(R"({"model_type":"llama","hidden_size":8,"num_hidden_layers":2,)"
                                  R"("num_attention_heads":2,"num_key_value_heads":1,"intermediate_size":16,)"
                                  R"("vocab_size":50,"max_position_embeddings":16,"rms_norm_eps":1e-6,)"
                                  R"("hidden_act":"silu","tie_word_embeddings":false})"),
      char(run_form) +
          std::string(R"({"model":{"preset":"gpt-125m","norms":"normformer"},"data":{"train":"a",)"
                      R"("sampler":"mlm","batch":4},"optim":{"lr":1e-3,"betas":[0.9,0.98]},)"
                      R"("schedule":{"name":"wsd","warmup":10},"budget":{"steps":5},"seed":3})"),
      char(set_form) + std::string("optim.betas=[0.9,0.99]"),
      char(set_form) + std::string("model.norms=post_ln"),
      char(token_form) +
          std::string(R"({"input_ids":[[1,2,3],[4,5,6]],"labels":[[2,3,-100],[5,6,-100]],)"
                      R"("attention_mask":[[1,1,1],[1,1,0]],"token_type_ids":[[0,0,0],[0,0,0]]})")};
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  if (size == 0) return 0;
  const std::string text(input_text(bytes + 1, size - 1));
  return fuzz_one([&] {
    const Form form = Form(bytes[0] % forms);
    if (form == set_form) {
      engine::Json json = engine::Json::object();
      train::apply_override(json, text);
      train::parse_config(json, "fuzz");
      return;
    }
    const engine::Json json = engine::parse_json(text, "fuzz");
    switch (form) {
      case model_form: return use(models::model_config_from_json(json, "fuzz"));
      case hf_form: return use(models::read_hf_config(json, "fuzz").config);
      case run_form: {
        const engine::Json once = train::config_json(train::parse_config(json, "fuzz"));
        require(train::config_json(train::parse_config(once, "again")).dump() == once.dump());
        if (once.contains("model")) use(models::model_config_from_section(once["model"], "fuzz"));
        return;
      }
      default: break;
    }
    static const models::ModelConfig config =
        models::model_config_from_json(engine::parse_json(kModel, "model"), "model");
    models::token_batch(json, config, "fuzz");
  });
}
