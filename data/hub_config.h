// The small files beside a tokenizer on the Hugging Face Hub: tokenizer_config.json, special_tokens_map.json
// and added_tokens.json. Read first: pipeline/pipeline_tokenizer.h.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "data/pipeline/pipeline_tokenizer.h"

namespace data {

class HubConfig {
 public:
  /// Any of the files may be missing.
  explicit HubConfig(const std::string& folder);

  /// A flag of tokenizer_config.json.
  std::optional<bool> flag(const std::string& key) const;
  const std::string& tokenizer_class() const { return class_; }
  /// The token of a role ("cls_token") where the files name it, else `other`.
  std::string role(const std::string& key, const std::string& other) const;

  /// Changes what tokenizer.json says where the config overrides it: a space in front, BERT's cleaning.
  void override(engine::SortedJson& tokenizer_json) const;
  /// Adds the tokens that the files name, with their roles, and without a tokenizer.json the tokens around
  /// texts that the config asks for (add_bos_token, add_eos_token).
  void complete(Pipeline& pipeline) const;

 private:
  struct Named {
    AddedToken token;
    std::optional<TokenId> id;   // what the file says
    bool must_be_known = false;  // a role's token that the vocabulary lacks is left out
  };
  void read_config(const std::string& path);
  void read_map(const std::string& path);
  void read_added(const std::string& path);
  void read_roles(const engine::SortedJson& json, const std::string& path);
  /// The token of this text; `named` is put there when it is new.
  Named& put(Named named);

  std::string folder_, class_;
  engine::SortedJson config_ = engine::SortedJson::object();
  std::vector<Named> tokens_;
  std::unordered_map<std::string, size_t> places_;      // in tokens_, by text, until they are sorted
  std::unordered_map<std::string, std::string> roles_;  // by key: "cls_token"
};

}  // namespace data
