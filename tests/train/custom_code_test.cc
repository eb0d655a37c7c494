// convert --custom-code: the folder that it writes, read back; and, where a Python has torch and
// transformers, what its code computes for every preset and much else (custom_code.py).
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "models/forward.h"
#include "models/hf/custom_code.h"
#include "models/hf/import.h"
#include "models/model_gradcheck.h"
#include "nn/norm_presets.h"
#include "run_program.h"
#include "temporary_folder.h"
#include "train/open_model.h"

using namespace engine;
using namespace models;

namespace {

void convert(const std::string& arguments) {
  const ProgramEnd out = run_normlab("convert " + arguments);
  INFO(out.output);
  REQUIRE(out.code == 0);
}

Json rows_of(const Tensor& ids) {
  const std::vector<double> values = ids.to_vector();
  Json rows = Json::array();
  if (ids.rank() == 1) {  // a classifier's labels
    for (const double v : values) rows.push_back(ids.dtype() == DType::i32 ? Json(int64_t(v)) : Json(v));
    return rows;
  }
  const size_t T = size_t(ids.size(1));
  for (size_t i = 0; i < values.size(); i += T) {
    Json row = Json::array();
    for (size_t t = i; t < i + T; ++t) row.push_back(int64_t(values[t]));
    rows.push_back(row);
  }
  return rows;
}

/// A model of ours in folder/ours, converted to folder/NAME, with tokens.json and expected.safetensors beside
/// it.
std::string make_case(const std::string& folder, const std::string& name, const ModelConfig& config) {
  const OneThread one;
  Transformer drawn(config, nn::Precision::of(DType::f32));
  draw_generic_values(drawn, 7);
  const std::string ours = folder + "/ours-" + name, theirs = folder + "/" + name;
  save_model(drawn, ours);
  convert("--from normlab --to hf --custom-code '" + ours + "' '" + theirs + "'");

  const auto model = load_model(ours, nn::Precision::of(DType::f64), nn::Gradients::allocated);
  const TokenBatch batch = random_batch(config, 2, 3);
  if (config.position_offset > 0)  // padding, as RoBERTa counts
    batch.tokens.ids.data<int32_t>()[1] = int32_t(config.position_offset - 1);
  Json tokens = {{"input_ids", rows_of(batch.tokens.ids)}, {"labels", rows_of(batch.labels)}};
  if (batch.tokens.key_mask.defined()) tokens["attention_mask"] = rows_of(batch.tokens.key_mask);
  if (batch.tokens.types.defined()) tokens["token_type_ids"] = rows_of(batch.tokens.types);
  write_file(theirs + "/tokens.json", tokens.dump());
  write_safetensors(theirs + "/expected.safetensors",
                    output_tensors(run_forward(*model, batch, WithGradients::yes), DType::f64));
  return theirs;
}

struct Variant {
  const char *name, *norms;
  Objective objective;
  void (*change)(ModelConfig&);
};
const Variant variants[] = {
    {"rules", "attn{in=ln} ffn{in=ln} final=ln; 0: attn{post=rms} ffn{post=rms res=0.5}; -1: ffn{mid=dyt}",
     Objective::clm, [](ModelConfig&) {}},
    {"shared",
     "attn{in=ln(bias=0) branch=shared(0.5) res=scalar} ffn{in=l2 branch=shared(0.5)} final=ln(eps=1e-3)",
     Objective::clm, [](ModelConfig&) {}},
    {"outer", "attn{gain=outer skip=norm in=rms ctx=rms.head q=l2.full} ffn{in=rms skip=norm} embed=ln",
     Objective::mlm, [](ModelConfig&) {}},
    {"parallel", "attn{in=ln} ffn{in=ln} final=ln stream=parallel", Objective::clm,
     [](ModelConfig& c) { c.positions = nn::Positions::rope, c.rope_width = 2; }},
    {"experts", "pre_ln", Objective::clm,
     [](ModelConfig& c) {
       c.experts = 4, c.experts_per_token = 2, c.router_normalize = true, c.bias = {true, false, true};
       c.activation = nn::Activation::geglu_tanh;
     }},
    {"adaptive", "pre_ln", Objective::clm,
     [](ModelConfig& c) {
       c.width = 16, c.heads = 4, c.head_dim = c.rope_width = 4, c.adaptive = Adaptive{{7, 15}, 2};
     }},
    {"llama3", "pre_rms", Objective::clm,
     [](ModelConfig& c) {
       c.positions = nn::Positions::rope, c.tied = false;
       c.heads = 6, c.kv_heads = 2, c.head_dim = 4;
       c.rope_scaling = RopeScaling{.kind = RopeKind::llama3, .factor = 4, .original_context = 20};
     }},
    {"yarn", "pre_ln", Objective::clm,
     [](ModelConfig& c) {
       c.positions = nn::Positions::rope, c.attn_softcap = 2, c.logit_softcap = 3, c.attn_scale = 0.7;
       c.rope_scaling = RopeScaling{.kind = RopeKind::yarn, .factor = 4, .original_context = 20};
     }},
    {"sinusoidal", "post_ln", Objective::clm,
     [](ModelConfig& c) {
       c.positions = nn::Positions::sinusoidal, c.position_offset = 2, c.embed_scale = 3, c.gain_offset = 1;
     }},
    {"types", "pre_ln", Objective::mlm,
     [](ModelConfig& c) {
       c.token_types = 2, c.position_offset = 2, c.tied = false, c.activation = nn::Activation::relu2;
     }},
    {"sinusoidal-mlm", "post_ln", Objective::mlm,
     [](ModelConfig& c) { c.positions = nn::Positions::sinusoidal, c.position_offset = 2; }},
    {"window", "pre_ln", Objective::clm, [](ModelConfig& c) { c.window = 2, c.window_layers = {1}; }},
    {"window-rope", "pre_ln", Objective::clm,
     [](ModelConfig& c) { c.window = 3, c.positions = nn::Positions::rope, c.attn_softcap = 2; }},
    {"narrow", "post_ln", Objective::clm, [](ModelConfig& c) { c.embed_width = 5; }},
    {"narrow-untied", "pre_ln", Objective::clm, [](ModelConfig& c) { c.embed_width = 20, c.tied = false; }},
    {"longrope", "pre_ln", Objective::clm,
     [](ModelConfig& c) {
       c.positions = nn::Positions::rope;
       c.rope_scaling = RopeScaling{.kind = RopeKind::longrope,
                                    .factor = 4,
                                    .original_context = c.context - 1,
                                    .short_factor = {1, 1.5},
                                    .long_factor = {2, 7}};
     }},
    {"classify", "post_ln", Objective::classify, [](ModelConfig& c) { c.classes = 3; }},
    {"regression", "pre_ln", Objective::classify, [](ModelConfig& c) { c.classes = 1; }},
};

/// A Python with torch and transformers: $NORMLAB_PYTHON, else python3; "" without one, and a line that says
/// so.
std::string find_python() {
  const char* set = std::getenv("NORMLAB_PYTHON");
  const std::string python = set != nullptr && *set != 0 ? set : "python3";
  if (std::system((python + " -c 'import torch, transformers' 2>/dev/null").c_str()) == 0) return python;
  std::fprintf(stderr, "SKIPPED: %s has no torch and transformers (NORMLAB_PYTHON may name another)\n",
               python.c_str());
  return "";
}

}  // namespace

TEST_CASE("custom code: the folder says the model, and reads back bit for bit") {
  TemporaryFolder tmp;
  const ModelConfig config = gradcheck_config("normformer+r", Objective::mlm);
  const std::string folder = make_case(tmp / "", "model", config);
  for (const char* name : {"modeling_normlab.py", "configuration_normlab.py"}) {
    INFO(name);
    CHECK(read_file(folder + "/" + name) ==
          read_file(SOURCE_DIR "/models/hf/custom_code/" + std::string(name)));
  }
  const Json json = read_json(folder + "/config.json");
  CHECK(json["auto_map"]["AutoModelForMaskedLM"] == "modeling_normlab.NormLabForMaskedLM");
  CHECK(json["max_position_embeddings"] == config.context);
  CHECK(read_custom_code_config(json, "config.json") == config);
  convert("--from hf --to normlab '" + folder + "' '" + (tmp / "back") + "'");
  const Safetensors before(tmp / "ours-model"), after(tmp / "back");
  REQUIRE(before.entries().size() == after.entries().size());
  for (const SafetensorsEntry& entry : before.entries()) {
    const Tensor a = before.load(entry.name), b = after.load(entry.name);
    CHECK(std::memcmp(a.raw(), b.raw(), size_t(a.bytes())) == 0);
  }
  CHECK(load_any(folder, nn::Precision::of(DType::f32)).model->config() == config);
  CHECK(train::config_of_model(folder) == config);
  const ProgramEnd theirs = run_normlab("inspect '" + folder + "'"),
                   ours = run_normlab("inspect '" + (tmp / "ours-model") + "'");
  CHECK(theirs.code == 0);
  CHECK(theirs.output == ours.output);
  CHECK(run_normlab("convert --from normlab --to normlab --custom-code '" + (tmp / "back") + "' '" +
                    (tmp / "x") + "'")
            .code == 2);
}

TEST_CASE("custom code: transformers computes what we do, for every preset", "[medium]") {
  const std::string python = find_python();
  if (python.empty()) return;
  TemporaryFolder tmp;
  std::string folders;
  for (const nn::NormPreset& preset : nn::norm_presets())
    for (const Objective objective : {Objective::clm, Objective::mlm}) {
      std::string name = preset.name + "-" + objective_names[size_t(objective)];
      folders += " '" + make_case(tmp / "", name, gradcheck_config(preset.name, objective)) + "'";
    }
  for (const Variant& variant : variants) {
    ModelConfig config = gradcheck_config(variant.norms, variant.objective);
    config.kv_heads = config.head_dim = config.rope_width = 0;
    variant.change(config);
    folders += " '" + make_case(tmp / "", variant.name, checked(config)) + "'";
  }
  const std::string command = "HF_HUB_OFFLINE=1 HF_MODULES_CACHE='" + (tmp / "modules") + "' " + python +
                              " " + SOURCE_DIR "/tests/train/custom_code.py" + folders;
  const ProgramEnd end = run_shell(command);
  INFO(end.output);
  CHECK(end.code == 0);
}
