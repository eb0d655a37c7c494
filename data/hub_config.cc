// Read first: hub_config.h.
#include "data/hub_config.h"

#include <algorithm>
#include <charconv>

#include "engine/base/check.h"
#include "engine/base/file.h"

namespace data {

using engine::check;
using engine::SortedJson;

namespace {

constexpr size_t most_bytes = size_t(64) << 20;
constexpr const char* role_keys[] = {"bos_token", "eos_token",  "cls_token", "sep_token",
                                     "pad_token", "mask_token", "unk_token"};

SortedJson read_object(const std::string& path) {
  SortedJson json = engine::parse_sorted_json(engine::read_file(path, most_bytes), path);
  check(json.is_object(), path, ": expected a JSON object");
  return json;
}

/// "…" or {"content": "…", "lstrip": …}.
AddedToken read_token(const SortedJson& json, const std::string& what) {
  if (json.is_string()) return {.text = json};
  const JsonPart part(json, what);
  AddedToken token{.text = part.text("content")};
  token.strip_left = part.flag_or("lstrip", false), token.strip_right = part.flag_or("rstrip", false);
  token.single_word = part.flag_or("single_word", false);
  token.normalized = part.flag_or("normalized", false);
  token.special = part.flag_or("special", true);
  return token;
}

}  // namespace

HubConfig::HubConfig(const std::string& folder) : folder_(folder) {
  if (engine::file_exists(folder + "/tokenizer_config.json")) read_config(folder + "/tokenizer_config.json");
  if (engine::file_exists(folder + "/special_tokens_map.json")) read_map(folder + "/special_tokens_map.json");
  if (engine::file_exists(folder + "/added_tokens.json")) read_added(folder + "/added_tokens.json");
  // Known ids first, in their order, as the tokens were once added.
  std::stable_sort(tokens_.begin(), tokens_.end(), [](const Named& a, const Named& b) {
    return a.id.value_or(no_token) < b.id.value_or(no_token);
  });
}

HubConfig::Named& HubConfig::put(Named named) {
  const auto [place, is_new] = places_.try_emplace(named.token.text, tokens_.size());
  if (is_new) tokens_.push_back(std::move(named));
  return tokens_[place->second];
}

std::optional<bool> HubConfig::flag(const std::string& key) const {
  const auto found = config_.find(key);
  if (found == config_.end() || !found->is_boolean()) return {};
  return found->get<bool>();
}

std::string HubConfig::role(const std::string& key, const std::string& other) const {
  const auto found = roles_.find(key);
  return found == roles_.end() || found->second.empty() ? other : found->second;
}

void HubConfig::read_config(const std::string& path) {
  config_ = read_object(path);
  if (config_.contains("tokenizer_class") && config_["tokenizer_class"].is_string())
    class_ = config_["tokenizer_class"];
  const SortedJson added = config_.value("added_tokens_decoder", SortedJson::object());
  check(added.is_object(), path, ": \"added_tokens_decoder\" must be an object");
  for (const auto& [key, value] : added.items()) {
    const std::string what = path + ": added_tokens_decoder[\"" + key.substr(0, 32) + "\"]";
    TokenId id = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    check(error == std::errc() && end == key.data() + key.size(), what, ": expected an id as the key");
    Named named{read_token(value, what), checked_id(SortedJson(id), 0, what)};
    named.token.special = value.is_object() && JsonPart(value, what).flag_or("special", false);
    if (!named.token.text.empty()) put(std::move(named));
  }
  read_roles(config_, path);
}

void HubConfig::read_map(const std::string& path) { read_roles(read_object(path), path); }

void HubConfig::read_roles(const SortedJson& json, const std::string& path) {
  const auto add = [&](const SortedJson& value, const std::string& key) {
    const AddedToken token = read_token(value, path + ": \"" + key + "\"");
    if (!token.text.empty()) put({token, {}, true});
    return token.text;
  };
  for (const char* key : role_keys)
    if (json.contains(key) && !json[key].is_null()) roles_[key] = add(json[key], key);
  for (const char* key : {"additional_special_tokens", "extra_special_tokens"})
    if (json.contains(key) && json[key].is_array())
      for (const SortedJson& value : json[key]) add(value, key);
}

void HubConfig::read_added(const std::string& path) {
  const SortedJson added = read_object(path);
  for (const auto& [text, value] : added.items()) {
    if (text.empty()) continue;
    const TokenId id = checked_id(value, 0, path + ": " + json_quoted(text).substr(0, 64));
    Named fresh{{.text = text}, id};
    fresh.token.special = false, fresh.token.normalized = true;
    Named& named = put(std::move(fresh));
    if (!named.id) named.id = id;
    named.must_be_known = false;
  }
}

void HubConfig::override(SortedJson& json) const {
  // These classes take tokenizer.json as it stands; GPT-2's, RoBERTa's and others make its pre-tokenizer
  // anew.
  const bool as_it_stands = class_.starts_with("PreTrainedTokenizer") || class_ == "TokenizersBackend";
  const auto space = flag("add_prefix_space");
  if (space && !as_it_stands && json.contains("pre_tokenizer")) {
    SortedJson& part = json["pre_tokenizer"];
    if (part.is_object() && part.contains("add_prefix_space")) part["add_prefix_space"] = *space;
  }
  const bool bert = class_.find("Bert") != class_.npos && json.contains("normalizer") &&
                    json["normalizer"].is_object() &&
                    json["normalizer"].value("type", SortedJson()) == "BertNormalizer";
  if (!bert) return;
  SortedJson& part = json["normalizer"];
  if (const auto lower = flag("do_lower_case")) part["lowercase"] = *lower;
  if (const auto strip = flag("strip_accents")) part["strip_accents"] = *strip;
  if (const auto separate = flag("tokenize_chinese_chars")) part["handle_chinese_chars"] = *separate;
}

void HubConfig::complete(Pipeline& pipeline) const {
  const Vocabulary& vocabulary = pipeline.model->vocabulary();
  AddedTokenList added(vocabulary, std::move(pipeline.added));
  for (const Named& named : tokens_) {
    const std::string& text = named.token.text;
    const bool known = added.id(text) != no_token;
    if (named.must_be_known && (known || vocabulary.id(text) == no_token)) continue;
    const TokenId id = added.add(named.token);
    check(!named.id || *named.id == id, folder_, ": the added token ", json_quoted(text).substr(0, 64),
          " has id ", named.id.value_or(0), " there, and is ", id, " behind this vocabulary");
  }
  // A token that has a role is special, whatever tokenizer.json says of it.
  for (const auto& [key, text] : roles_) added.make_special(text);
  const auto id_of = [&](const std::string& text) {
    if (text.empty()) return no_token;
    const TokenId id = added.id(text);
    return id != no_token ? id : vocabulary.id(text);
  };
  const auto first_of = [&](const char* a, const char* b) {
    const TokenId first = id_of(role(a, ""));
    return first != no_token ? first : id_of(role(b, ""));
  };
  pipeline.roles = {first_of("bos_token", "cls_token"), first_of("eos_token", "sep_token"),
                    id_of(role("pad_token", "")), id_of(role("mask_token", "")),
                    id_of(role("unk_token", ""))};
  // Where there is a tokenizer.json its post-processor alone counts, as in transformers 5.
  const bool has_pipeline = engine::file_exists(folder_ + "/tokenizer.json");
  if (!has_pipeline && (flag("add_bos_token") || flag("add_eos_token"))) {
    SortedJson single = SortedJson::array(), pair = SortedJson::array(), tokens = SortedJson::object();
    const auto put = [&](SortedJson& out, const std::string& text, int type) {
      tokens[text] = {{"id", text}, {"ids", {id_of(text)}}, {"tokens", {text}}};
      out.push_back({{"SpecialToken", {{"id", text}, {"type_id", type}}}});
    };
    // Without a name they are GPT-2's.
    const std::string first = role("bos_token", "<|endoftext|>"), last = role("eos_token", "<|endoftext|>");
    const bool begin = flag("add_bos_token").value_or(false) && id_of(first) != no_token;
    const bool end = flag("add_eos_token").value_or(false) && id_of(last) != no_token;
    for (int type = 0; type < 2; ++type) {
      SortedJson part = SortedJson::array();
      if (begin) put(part, first, type);
      part.push_back({{"Sequence", {{"id", type == 0 ? "A" : "B"}, {"type_id", type}}}});
      if (end) put(part, last, type);
      pair.insert(pair.end(), part.begin(), part.end());
      if (type == 0) single = part;
    }
    pipeline.json.post_processor = {
        {"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", tokens}};
    pipeline.post_processor =
        PostProcessor(JsonPart(pipeline.json.post_processor, folder_ + ": add_bos_token"));
  }
  pipeline.added = added.take();
}

}  // namespace data
