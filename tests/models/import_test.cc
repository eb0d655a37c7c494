// Hugging Face directories as files and tensors: names, layouts, shards, older files, both ways. Read first:
// small_hf.h.
#include "shared_data.h"
#include "small_hf.h"

using namespace small_hf;
using Catch::Matchers::Contains;

TEST_CASE("hf: rows cover every tensor, no foreign name twice, and take apart what they join", "[hf]") {
  for (const std::string& kind : kinds) {
    INFO(kind);
    const HfConfig hf = read_hf_config(small_config(kind), kind);
    std::map<std::string, int> seen;
    double next = 0;
    for (const MappedTensor& mapped : map_tensors(hf.architecture->names, hf.config)) {
      std::vector<Tensor> parts;
      int64_t elements = 0;
      for (const Part& part : mapped.parts) {
        INFO(part.name);
        CHECK(part.name.find_first_of("{}*") == std::string::npos);
        CHECK(++seen[part.name] == 1);
        parts.push_back(numbered(part.shape, DType::f32, next));
        elements += part.shape.numel();
      }
      CHECK(elements == mapped.shape.numel());
      const Tensor ours = join_parts(mapped, parts);
      CHECK(ours.shape() == mapped.shape);
      const NamedTensors again = take_apart(mapped, ours);
      for (size_t i = 0; i < parts.size(); ++i) {
        CHECK(again[i].second.shape() == mapped.parts[i].shape);
        CHECK(again[i].second.to_vector() == parts[i].to_vector());
      }
    }
  }
}

TEST_CASE("hf: layouts", "[hf]") {
  const HfConfig hf = read_hf_config(small_config("gpt2"), "gpt2");
  double next = 0;
  for (const MappedTensor& mapped : map_tensors(hf.architecture->names, hf.config)) {
    if (mapped.name != "layers.1.attn.qkv.weight") continue;
    REQUIRE(mapped.parts.size() == 1);
    CHECK(mapped.parts[0].name == "transformer.h.1.attn.c_attn.weight");
    CHECK(mapped.parts[0].shape == Shape{8, 24});
    const Tensor theirs = numbered({8, 24}, DType::f32, next), ours = join_parts(mapped, {theirs});
    CHECK(ours.slice(0, 5, 6).slice(1, 3, 4).item() == theirs.slice(0, 3, 4).slice(1, 5, 6).item());
  }
  const HfConfig grouped = read_hf_config(small_config("llama"), "llama");
  for (const MappedTensor& mapped : map_tensors(grouped.architecture->names, grouped.config)) {
    if (mapped.name != "layers.0.attn.qkv.weight") continue;
    REQUIRE(mapped.parts.size() == 3);
    CHECK(mapped.parts[0].shape == Shape{8, 8});
    CHECK(mapped.parts[1].name == "model.layers.0.self_attn.k_proj.weight");
    CHECK(mapped.parts[2].shape == Shape{4, 8});
  }
}

TEST_CASE("hf: a round trip changes no bit, in every element type, and keeps config keys", "[hf]") {
  for (const std::string& kind : kinds)
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
      INFO(kind << " " << dtype);
      TemporaryFolder tmp;
      write_folder(tmp / "hf", small_config(kind), small_weights(kind, dtype));
      check_round_trip(tmp / "hf");
    }
  TemporaryFolder tmp;
  write_folder(tmp / "hf", small_config("gpt2"), small_weights("gpt2", DType::bf16));
  // Files of tokenizer and generation are carried along as they are, byte for byte.
  const std::vector<std::string> files = {
      "tokenizer.json",         "tokenizer_config.json", "special_tokens_map.json", "merges.txt",
      "generation_config.json", "tokenizer.model",       "chat_template.jinja"};
  for (const std::string& name : files)
    write_file(tmp / "hf/" + name, "{}" + std::string(name == "merges.txt", '\0'));
  write_portable(read_portable(tmp / "hf", ModelFormat::hf), tmp / "ours", ModelFormat::normlab);
  CHECK(read_model_config(tmp / "ours/config.json").tokenizer == "tokenizer.json");
  write_portable(read_portable(tmp / "ours", ModelFormat::normlab), tmp / "back", ModelFormat::hf);
  const Json back = read_json(tmp / "back/config.json");
  CHECK(back["bos_token_id"] == 3);
  CHECK(back["attn_pdrop"] == 0.1);
  CHECK(back["eos_token_id"].is_null());
  CHECK(back["dtype"] == "bfloat16");
  CHECK(back["architectures"][0] == "GPT2LMHeadModel");
  for (const std::string& name : files)
    CHECK(read_file(tmp / "back/" + name) == read_file(tmp / "hf/" + name));
}

TEST_CASE("hf: reading and writing count their tensors", "[hf]") {
  TemporaryFolder tmp;
  write_folder(tmp / "hf", small_config("llama"), small_weights("llama", DType::f32));
  std::vector<int64_t> counted;
  const auto count = [&](int64_t done, int64_t total) {
    counted.push_back(done);
    if (done == total) counted.push_back(-total);
  };
  const PortableModel model = read_portable(tmp / "hf", ModelFormat::hf, count);
  const auto n = int64_t(model.tensors.size());
  REQUIRE(int64_t(counted.size()) == n + 1);
  CHECK(counted.front() == 1);
  CHECK(counted.back() == -n);
  counted.clear();
  write_portable(model, tmp / "ours", ModelFormat::normlab, count);
  CHECK(int64_t(counted.size()) == n + 1);
}

TEST_CASE("hf: older files: no prefix, gamma and beta, buffers, tied copies", "[hf]") {
  TemporaryFolder tmp;
  NamedTensors tensors;
  for (auto& [name, tensor] : small_weights("gpt2", DType::f32))
    tensors.emplace_back(name.substr(12), tensor);
  const Tensor mask = Tensor::zeros({1, 1, 6, 6}, DType::u8);
  tensors.emplace_back("h.0.attn.bias", mask);
  tensors.emplace_back("lm_head.weight", tensors[0].second);
  write_folder(tmp / "hf", small_config("gpt2"), tensors);
  const PortableModel model = read_portable(tmp / "hf", ModelFormat::hf);
  REQUIRE(model.dropped.size() == 2);
  CHECK(model.dropped[0].name == "h.0.attn.bias");
  CHECK_THAT(model.dropped[1].reason, Contains("copy of wte.weight"));

  NamedTensors bert;
  for (auto& [name, tensor] : small_weights("bert", DType::f32)) {
    std::string old = name;
    if (const size_t at = old.find("LayerNorm.weight"); at != old.npos)
      old = old.substr(0, at) + "LayerNorm.gamma";
    if (const size_t at = old.find("LayerNorm.bias"); at != old.npos)
      old = old.substr(0, at) + "LayerNorm.beta";
    // A file may hold the head in place of the embedding that it is tied to.
    if (old == "bert.embeddings.word_embeddings.weight") old = "cls.predictions.decoder.weight";
    bert.emplace_back(old, tensor);
  }
  bert.emplace_back("bert.pooler.dense.weight", Tensor::zeros({8, 8}, DType::f32));
  bert.emplace_back("cls.seq_relationship.bias", Tensor::zeros({2}, DType::f32));
  bert.emplace_back("bert.embeddings.position_ids", Tensor::zeros({1, 6}, DType::i64));
  write_folder(tmp / "bert", small_config("bert"), bert);
  const PortableModel old = read_portable(tmp / "bert", ModelFormat::hf);
  CHECK(old.dropped.size() == 3);
  CHECK(old.tensors[0].second.to_vector() == small_weights("bert", DType::f32)[0].second.to_vector());
}

TEST_CASE("hf: an untied masked LM has its bias in the decoder, and both names are written", "[hf]") {
  struct Names {
    const char *kind, *decoder, *older;
  };
  for (const Names& names : {Names{"bert", "cls.predictions.decoder.bias", "cls.predictions.bias"},
                             Names{"roberta", "lm_head.decoder.bias", "lm_head.bias"}}) {
    INFO(names.kind);
    TemporaryFolder tmp;
    Json config = small_config(names.kind);
    config["tie_word_embeddings"] = false;
    const HfConfig hf = read_hf_config(config, names.kind);
    NamedTensors tensors;
    double next = -20;
    for (const MappedTensor& mapped : map_tensors(hf.architecture->names, hf.config))
      for (const Part& part : mapped.parts)
        tensors.emplace_back(part.name, numbered(part.shape, DType::f32, next));
    const auto bias_of = [&](const char* folder) {
      const PortableModel model = read_portable(tmp / folder, ModelFormat::hf);
      for (const auto& [name, tensor] : model.tensors)
        if (name == "head.bias") return tensor.to_vector();
      return std::vector<double>();
    };
    std::vector<double> own;
    for (auto& [name, tensor] : tensors)
      if (name == names.decoder) own = tensor.to_vector();
    REQUIRE(own.size() == 11);
    NamedTensors both = tensors;
    both.emplace_back(names.older, Tensor::zeros({11}, DType::f32));
    write_folder(tmp / "both", config, both);
    CHECK(bias_of("both") == own);
    // Files from before transformers 5, where both names were one tensor, may hold it under the older alone.
    for (auto& [name, tensor] : tensors)
      if (name == names.decoder) name = names.older;
    write_folder(tmp / "older", config, tensors);
    CHECK(bias_of("older") == own);

    write_portable(read_portable(tmp / "both", ModelFormat::hf), tmp / "back", ModelFormat::hf);
    const Safetensors back(tmp / "back");
    for (const char* name : {names.decoder, names.older}) {
      REQUIRE(back.find(name) != nullptr);
      CHECK(back.load(name).to_vector() == own);
    }
  }
}

TEST_CASE("hf: sharded files", "[hf]") {
  TemporaryFolder tmp;
  const NamedTensors tensors = small_weights("olmoe", DType::bf16);
  const size_t half = tensors.size() / 2;
  write_folder(tmp / "whole", small_config("olmoe"), tensors);
  make_directories(tmp / "hf");
  write_safetensors(tmp / "hf/a.safetensors", {tensors.begin(), tensors.begin() + long(half)});
  write_safetensors(tmp / "hf/b.safetensors", {tensors.begin() + long(half), tensors.end()});
  Json index = {{"metadata", Json::object()}, {"weight_map", Json::object()}};
  for (size_t i = 0; i < tensors.size(); ++i)
    index["weight_map"][tensors[i].first] = i < half ? "a.safetensors" : "b.safetensors";
  write_file(tmp / "hf/model.safetensors.index.json", index.dump());
  write_file(tmp / "hf/config.json", small_config("olmoe").dump());
  write_portable(read_portable(tmp / "hf", ModelFormat::hf), tmp / "back", ModelFormat::hf);
  check_same_tensors(Safetensors(tmp / "whole"), Safetensors(tmp / "back"));
}

TEST_CASE("hf: tensors that are missing, unknown, misshapen or of the wrong kind", "[hf]") {
  CHECK(refusal("gpt2", [](Json&, NamedTensors&) {}) == "accepted");
  CHECK_THAT(refusal("gpt2", [](Json&, NamedTensors& t) { t.pop_back(); }),
             Contains("\"transformer.ln_f.bias\" [8] is missing"));
  CHECK_THAT(
      refusal("gpt2",
              [](Json&, NamedTensors& t) { t.emplace_back("transformer.h.2.ln_1.weight", t[3].second); }),
      Contains("unexpected tensor \"transformer.h.2.ln_1.weight\"") && Contains("2 layers"));
  CHECK_THAT(refusal("gpt2",
                     [](Json&, NamedTensors& t) {
                       t[0].second = Tensor::zeros({8, 11}, DType::f32);
                     }),
             Contains("\"transformer.wte.weight\" must be [11, 8], the file has [8, 11]"));
  CHECK_THAT(refusal("gpt2",
                     [](Json&, NamedTensors& t) {
                       t[0].second = Tensor::zeros({11, 8}, DType::i32);
                     }),
             Contains("must be floating"));
  CHECK_THAT(refusal("gpt2", [](Json&, NamedTensors& t) { t.emplace_back("wte.weight", t[0].second); }),
             Contains("twice"));
  CHECK_THAT(refusal("gpt2",
                     [](Json&, NamedTensors& t) {
                       t.emplace_back("lm_head.weight", Tensor::zeros({11, 8}, DType::f32));
                     }),
             Contains("should be a copy of \"transformer.wte.weight\""));
  CHECK_THAT(refusal("llama",
                     [](Json&, NamedTensors& t) {
                       for (auto& [name, tensor] : t)
                         if (name.ends_with("0.self_attn.k_proj.weight"))
                           tensor = Tensor::zeros(tensor.shape(), DType::bf16);
                     }),
             Contains("q_proj.weight\" (f32)") && Contains("k_proj.weight\" (bf16)") &&
                 Contains("one element type"));
  TemporaryFolder tmp;
  CHECK_THROWS_WITH(load_any(tmp / "nowhere", nn::Precision::of(DType::f32)),
                    Contains("not a model directory"));
  make_directories(tmp / "other");
  write_file(tmp / "other/config.json", "{}");
  CHECK_THROWS_WITH(load_any(tmp / "other", nn::Precision::of(DType::f32)),
                    Contains("neither a normlab model"));
  write_file(tmp / "other/config.json", small_config("gpt2").dump());
  CHECK_THROWS_WITH(load_any(tmp / "other", nn::Precision::of(DType::f32)), Contains("no model.safetensors"));
}

TEST_CASE("hf: models that no architecture can say are refused, with the nearest", "[hf]") {
  ModelConfig c = read_hf_config(small_config("gpt2"), "").config;
  set_norms(c, "normformer");
  CHECK_THROWS_WITH(write_hf_config(c, Json::object()), Contains("the nearest, gpt2, differs in norms"));
  TemporaryFolder tmp;
  PortableModel model{c, {}, Json::object(), {}, {}};
  CHECK_THROWS_AS(write_portable(model, tmp / "out", ModelFormat::hf), Error);
  CHECK_FALSE(is_directory(tmp / "out"));
}

TEST_CASE("hf: a masked LM without token types becomes one of a single type, which is zero", "[hf]") {
  TemporaryFolder tmp;
  PortableModel model{read_hf_config(small_config("roberta"), "").config, {}, Json::object(), {}, {}};
  model.config.token_types = 0;
  double next = 0;
  for (const ParameterInfo& info : parameter_list(model.config))
    model.tensors.emplace_back(info.name, numbered(Shape(info.shape), DType::bf16, next));
  write_portable(model, tmp / "hf", ModelFormat::hf);
  const Tensor types = Safetensors(tmp / "hf").load("roberta.embeddings.token_type_embeddings.weight");
  CHECK(types.shape() == Shape{1, 8});
  CHECK(types.dtype() == DType::bf16);
  CHECK(types.to_vector() == std::vector<double>(8, 0));
  const PortableModel back = read_portable(tmp / "hf", ModelFormat::hf);
  for (const auto& [name, tensor] : model.tensors)
    for (const auto& [again, same] : back.tensors)
      if (again == name) CHECK(same.to_vector() == tensor.to_vector());
}

TEST_CASE("hf: token ids of generation_config.json and config.json, one, several or none", "[hf]") {
  TemporaryFolder tmp;
  Json config = small_config("gpt2");
  config.update(parse_json(R"({"bos_token_id": 2, "eos_token_id": [3, 4]})", "test"));
  write_folder(tmp / "hf", config, small_weights("gpt2", DType::f32));
  const auto ends = [&](const std::string& folder) { return text_tokens(tmp / folder).ends; };
  CHECK(ends("hf") == std::vector<int32_t>{3, 4});
  CHECK(text_tokens(tmp / "hf").begin == 2);
  write_portable(read_portable(tmp / "hf", ModelFormat::hf), tmp / "ours", ModelFormat::normlab);
  CHECK(ends("ours") == std::vector<int32_t>{3, 4});  // the keys travelled with the weights
  write_file(tmp / "ours/generation_config.json", R"({"eos_token_id": 5})");
  CHECK(ends("ours") == std::vector<int32_t>{5});
  CHECK(text_tokens(tmp / "ours").begin == 2);
  write_file(tmp / "ours/generation_config.json", R"({"eos_token_id": null, "bos_token_id": [7]})");
  CHECK(ends("ours") == std::vector<int32_t>{3, 4});
  CHECK(text_tokens(tmp / "ours").begin == 7);
  config.update(parse_json(R"({"bos_token_id": -1, "eos_token_id": null})", "test"));
  write_file(tmp / "hf/config.json", config.dump());
  CHECK(ends("hf").empty());
  CHECK_FALSE(text_tokens(tmp / "hf").begin);
}

TEST_CASE("hf: reference models survive both ways", "[hf]") {
  for (const std::string& kind : reference_kinds) {
    INFO(kind);
    const std::string folder = shared_path("reference/hf_" + kind);
    if (folder.empty()) return;
    check_round_trip(folder);
  }
}
