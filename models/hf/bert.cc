// BERT, RoBERTa and RoBERTa-PreLayerNorm as transformers stores them, with their masked-LM heads and with those
// of sequence classification. The three differ in names, in where the norms stand and in the first position.
// Read first: architecture.h.
#include "engine/base/check.h"
#include "models/hf/architecture.h"

namespace models {
namespace {

using engine::Json;
using C = ModelConfig;

ModelConfig masked_lm(const char* norms) {
  ModelConfig base;
  base.objective = Objective::mlm;
  base.positions = nn::Positions::learned;
  base.norms = nn::parse_norm_spec(norms);
  return base;
}

const char* const bert_norms = "attn{post=ln} ffn{post=ln} embed=ln";
const char* const pre_norms = "attn{in=ln} ffn{in=ln} embed=ln final=ln";

std::vector<HfKey> encoder_keys() {
  return {hf_size("vocab_size", &C::vocab_size),
          hf_size("num_hidden_layers", &C::layers),
          hf_size("hidden_size", &C::width),
          hf_size("num_attention_heads", &C::heads),
          hf_size("intermediate_size", &C::ffn_width),
          hf_size("type_vocab_size", &C::token_types),
          hf_number("layer_norm_eps", &C::norm_eps, 1e-12),
          hf_flag("tie_word_embeddings", &C::tied, true),
          hf_only("is_decoder", false, "the masked LM attends in both directions"),
          hf_only("position_embedding_type", "absolute", "positions are added to embeddings"),
          hf_alias("embedding_size", &C::width, "hidden_size")};
}

/// BERT's head has the encoder's activation; ours is GELU.
HfKey bert_activation() {
  static const std::vector<HfWord> words = {{"gelu", nn::Activation::gelu},
                                            {"gelu_python", nn::Activation::gelu}};
  return hf_activation("hidden_act", words, "gelu");
}

/// RoBERTa counts positions from pad_token_id + 1 and max_position_embeddings includes those before; so the
/// padding id comes first.
HfKey padding_offset() {
  return {"pad_token_id", Json(1),
          [](C& c, const HfValue& v) { c.position_offset = engine::json_int(v.value, v.what, 0, 65535) + 1; },
          [](const C& c) { return Json(c.position_offset - 1); }};
}
HfKey offset_context() {
  return {"max_position_embeddings", std::nullopt,
          [](C& c, const HfValue& v) {
            c.context = engine::json_int(v.value, v.what, c.position_offset + 1, int64_t(1) << 26) -
                        c.position_offset;
          },
          [](const C& c) { return Json(c.context + c.position_offset); }};
}

/// `body` is the base model's prefix; the norms' rows are the caller's.
std::vector<NameRow> encoder_names(const std::string& body, std::vector<NameRow> norms) {
  const std::string layer = body + "encoder.layer.{N}.", embeddings = body + "embeddings.";
  std::vector<NameRow> rows = {
      {"embed.tokens.weight", {embeddings + "word_embeddings.weight"}},
      {"embed.positions.weight", {embeddings + "position_embeddings.weight"}},
      {"embed.types.weight", {embeddings + "token_type_embeddings.weight"}},
      {"embed.norm.*", {embeddings + "LayerNorm.*"}},
      {"layers.{N}.attn.qkv.*",
       {layer + "attention.self.query.*", layer + "attention.self.key.*", layer + "attention.self.value.*"},
       Layout::qkv_rows},
      {"layers.{N}.attn.out.*", {layer + "attention.output.dense.*"}},
      {"layers.{N}.ffn.up.*", {layer + "intermediate.dense.*"}},
      {"layers.{N}.ffn.down.*", {layer + "output.dense.*"}},
  };
  rows.insert(rows.end(), norms.begin(), norms.end());
  return rows;
}

std::vector<NameRow> post_norm_names(const std::string& body) {
  return encoder_names(
      body, {{"layers.{N}.attn.post_norm.*", {body + "encoder.layer.{N}.attention.output.LayerNorm.*"}},
             {"layers.{N}.ffn.post_norm.*", {body + "encoder.layer.{N}.output.LayerNorm.*"}}});
}
std::vector<NameRow> pre_norm_names(const std::string& body) {
  return encoder_names(body,
                       {{"layers.{N}.attn.in_norm.*", {body + "encoder.layer.{N}.attention.LayerNorm.*"}},
                        {"layers.{N}.ffn.in_norm.*", {body + "encoder.layer.{N}.intermediate.LayerNorm.*"}},
                        {"final_norm.*", {body + "LayerNorm.*"}}});
}

const std::vector<std::string> ignored_keys = {
    "attention_probs_dropout_prob", "hidden_dropout_prob",
    // of the pooler, which the masked LM does not use, and of distillation
    "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head",
    "pooler_type", "directionality", "cell", "emb_size", "pre_trained", "structure"};

/// A head that is not tied has its bias in transformers 5 inside the decoder; until then both names were one.
const char* const tied_bias = "the bias of a tied head";

// ------------------------------------------------------------------------------------------ classifiers

/// LABEL_0, LABEL_1, ...: what transformers calls classes that nobody named.
std::string unnamed(int64_t index) { return "LABEL_" + std::to_string(index); }

/// {"0": name, ...}: how many classes there are, and their names in order. Older files say num_labels alone;
/// without either there are two.
HfKey class_labels() {
  return {"id2label", Json(),
          [](C& c, const HfValue& v) {
            const Json count = v.all.contains("num_labels") ? v.all["num_labels"] : Json();
            c.classes = count.is_null() ? 2 : engine::json_int(count, v.what + " (num_labels)", 1, 65536);
            if (v.value.is_null()) return;
            engine::check(v.value.is_object() && !v.value.empty() && v.value.size() <= 65536, v.what,
                          ": expected an object of names");
            engine::check(count.is_null() || c.classes == int64_t(v.value.size()), v.what, " has ",
                          v.value.size(), " names, num_labels is ", c.classes);
            c.classes = int64_t(v.value.size());
            bool named = false;
            for (int64_t i = 0; i < c.classes; ++i) {
              const std::string key = std::to_string(i);
              engine::check(v.value.contains(key), v.what, ": no name for class ", key);
              c.class_names.push_back(engine::json_string(v.value[key], v.what + "." + key));
              named = named || c.class_names.back() != unnamed(i);
            }
            if (!named || c.classes == 1) c.class_names.clear();
          },
          [](const C& c) {
            Json names = Json::object();
            for (int64_t i = 0; i < c.classes; ++i)
              names[std::to_string(i)] = c.class_names.empty() ? unnamed(i) : c.class_names[size_t(i)];
            return names;
          }};
}

/// Follows from id2label.
HfKey label_numbers() {
  return {"label2id", Json(), {}, [](const C& c) {
            Json numbers = Json::object();
            for (int64_t i = 0; i < c.classes; ++i)
              numbers[c.class_names.empty() ? unnamed(i) : c.class_names[size_t(i)]] = i;
            return numbers;
          }};
}

/// null: regression where there is one output.
HfKey problem_type() {
  return {"problem_type", Json(),
          [](C& c, const HfValue& v) {
            const char* ours = c.classes == 1 ? "regression" : "single_label_classification";
            engine::check(v.value.is_null() || v.value == ours, v.what, " ",
                          engine::json_text(v.value).substr(0, 60), " cannot be said here: a classifier of ",
                          c.classes, " outputs is trained for ", ours);
          },
          {},
          Keep::yes};
}

/// The same model with another head.
HfArchitecture classifier(HfArchitecture lm, const char* class_name, const HfKey& activation,
                          const std::vector<NameRow>& head) {
  lm.class_name = class_name;
  lm.base.objective = Objective::classify;
  std::erase_if(lm.keys, [&](const HfKey& key) { return key.name == activation.name; });
  lm.keys = hf_joined(lm.keys, {activation, class_labels(), label_numbers(), problem_type()});
  lm.ignored.push_back("num_labels");
  // Of the masked LM's head nothing is left.
  std::erase_if(lm.names, [](const NameRow& row) {
    return row.ours.starts_with("mlm.") || row.ours.starts_with("head.");
  });
  std::erase_if(lm.dropped, [](const DroppedRow& row) {
    return row.theirs.starts_with("cls.") || row.theirs.starts_with("lm_head.") ||
           row.theirs.ends_with("pooler.dense.*");
  });
  lm.names = hf_joined(lm.names, head);
  return lm;
}

/// BERT's pooler is the first layer of its classifier.
HfArchitecture bert_classifier(HfArchitecture lm) {
  return classifier(std::move(lm), "BertForSequenceClassification",
                    hf_activation("hidden_act", plain_activations(), "gelu"),
                    {{"classify.dense.*", {"bert.pooler.dense.*"}}, {"classify.out.*", {"classifier.*"}}});
}

HfArchitecture roberta_classifier(const HfArchitecture& lm, const char* class_name) {
  HfArchitecture out = classifier(
      lm, class_name, hf_activation("hidden_act", plain_activations(), "gelu"),
      {{"classify.dense.*", {"classifier.dense.*"}}, {"classify.out.*", {"classifier.out_proj.*"}}});
  out.dropped.push_back({lm.prefix + "pooler.dense.*", "the pooler, which the classifier does not use", ""});
  return out;
}

HfArchitecture roberta_like(const char* model_type, const char* class_name, const std::string& body,
                            const char* norms, const std::vector<NameRow>& names) {
  return {
      .model_type = model_type,
      .class_name = class_name,
      .prefix = body,
      .base = masked_lm(norms),
      .keys = hf_joined(encoder_keys(), {padding_offset(), offset_context(),
                                         hf_activation("hidden_act", plain_activations(), "gelu")}),
      .ignored = ignored_keys,
      .names = hf_joined(names, {{"mlm.dense.*", {"lm_head.dense.*"}},
                                 {"mlm.norm.*", {"lm_head.layer_norm.*"}},
                                 {"head.weight", {"lm_head.decoder.weight"}},
                                 {"head.bias", {"lm_head.bias"}, Layout::same, "lm_head.decoder.bias"}}),
      .dropped = {{body + "embeddings.position_ids", "0, 1, 2, ...", ""},
                  {body + "embeddings.token_type_ids", "a constant", ""},
                  {body + "pooler.dense.*", "the pooler, which the masked LM does not use", ""},
                  {"lm_head.decoder.weight", "the tied head", body + "embeddings.word_embeddings.weight"},
                  {"lm_head.decoder.bias", "a copy of the bias", "lm_head.bias"},
                  {"lm_head.bias", tied_bias, "lm_head.decoder.bias", true}},
  };
}

}  // namespace

HfArchitecture hf_bert() {
  return {
      .model_type = "bert",
      .class_name = "BertForMaskedLM",
      .prefix = "bert.",
      .base = masked_lm(bert_norms),
      .keys = hf_joined(encoder_keys(), {hf_size("max_position_embeddings", &C::context), bert_activation()}),
      .ignored = ignored_keys,
      .names =
          hf_joined(post_norm_names("bert."),
                    {{"mlm.dense.*", {"cls.predictions.transform.dense.*"}},
                     {"mlm.norm.*", {"cls.predictions.transform.LayerNorm.*"}},
                     {"head.weight", {"cls.predictions.decoder.weight"}},
                     {"head.bias", {"cls.predictions.bias"}, Layout::same, "cls.predictions.decoder.bias"}}),
      .dropped = {{"bert.embeddings.position_ids", "0, 1, 2, ...", ""},
                  {"bert.embeddings.token_type_ids", "a constant", ""},
                  {"bert.pooler.dense.*", "the pooler, which the masked LM does not use", ""},
                  {"cls.seq_relationship.*", "the next-sentence head, which the masked LM does not use", ""},
                  {"cls.predictions.decoder.weight", "the tied head",
                   "bert.embeddings.word_embeddings.weight"},
                  {"cls.predictions.decoder.bias", "a copy of the bias", "cls.predictions.bias"},
                  {"cls.predictions.bias", tied_bias, "cls.predictions.decoder.bias", true}},
  };
}

HfArchitecture hf_roberta() {
  return roberta_like("roberta", "RobertaForMaskedLM", "roberta.", bert_norms, post_norm_names("roberta."));
}
HfArchitecture hf_xlm_roberta() {
  return roberta_like("xlm-roberta", "XLMRobertaForMaskedLM", "roberta.", bert_norms,
                      post_norm_names("roberta."));
}
HfArchitecture hf_camembert() {
  return roberta_like("camembert", "CamembertForMaskedLM", "roberta.", bert_norms,
                      post_norm_names("roberta."));
}
HfArchitecture hf_roberta_prelayernorm() {
  return roberta_like("roberta-prelayernorm", "RobertaPreLayerNormForMaskedLM", "roberta_prelayernorm.",
                      pre_norms, pre_norm_names("roberta_prelayernorm."));
}

std::vector<HfArchitecture> hf_bert_classifiers() {
  return {bert_classifier(hf_bert()),
          roberta_classifier(hf_roberta(), "RobertaForSequenceClassification"),
          roberta_classifier(hf_xlm_roberta(), "XLMRobertaForSequenceClassification"),
          roberta_classifier(hf_camembert(), "CamembertForSequenceClassification"),
          roberta_classifier(hf_roberta_prelayernorm(), "RobertaPreLayerNormForSequenceClassification")};
}

}  // namespace models
