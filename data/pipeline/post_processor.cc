// Read first: post_processor.h.
#include "data/pipeline/post_processor.h"

#include <algorithm>

#include "data/pipeline/vocabulary.h"
#include "engine/base/check.h"

namespace data {

using engine::check;

namespace {

/// ["</s>", 2]
TokenId read_pair(const JsonPart& part, const std::string& key) {
  const engine::SortedJson& value = part.json().value(key, engine::SortedJson());
  const bool good = value.is_array() && value.size() == 2 && value[0].is_string();
  check(good, part.what(), ": \"", key, "\" must be [token, id], got ",
        engine::json_text(value).substr(0, 64));
  return checked_id(value[1], 0, part.what() + ": \"" + key + "\"");
}

}  // namespace

PostProcessor::PostProcessor(const JsonPart& part) {
  const std::string type = part.type();
  if (type == "TemplateProcessing") {
    part.only({"single", "pair", "special_tokens"});
    single_ = read_template(part, "single");
    pair_ = read_template(part, "pair");
  } else if (type == "RobertaProcessing" || type == "BertProcessing") {
    read_frame(part, type == "RobertaProcessing");
  } else if (type == "Sequence") {
    read_sequence(part);
  } else if (type == "ByteLevel") {
    part.only({"add_prefix_space", "trim_offsets", "use_regex"});  // about places in the text
  } else {
    fail_unknown_type(part,
                      {"TemplateProcessing", "RobertaProcessing", "BertProcessing", "ByteLevel", "Sequence"});
  }
}

PostProcessor::Template PostProcessor::read_template(const JsonPart& part, const std::string& key) {
  Template out;
  for (const JsonPart& slot : part.parts(key)) {
    slot.only({"Sequence", "SpecialToken"});
    if (slot.has("Sequence")) {
      const std::string id = slot.part("Sequence").text("id");
      check(id == "A" || id == "B", slot.what(), ": \"id\" must be A or B, got ", id.substr(0, 64));
      out.push_back({id == "A" ? Source::a : Source::b});
    } else {
      const std::string name = slot.part("SpecialToken").text("id");
      const JsonPart token = part.part("special_tokens").part(name);
      check(token.has("ids") && token.json()["ids"].is_array(), token.what(), ": \"ids\" must be a list");
      out.push_back({Source::tokens});
      for (const auto& id : token.json()["ids"]) out.back().tokens.push_back(checked_id(id, 0, token.what()));
    }
  }
  return out;
}

void PostProcessor::read_frame(const JsonPart& part, bool roberta) {
  part.only({"sep", "cls", "trim_offsets", "add_prefix_space"});
  const Slot begin = {Source::tokens, {read_pair(part, "cls")}},
             end = {Source::tokens, {read_pair(part, "sep")}};
  const Slot a = {Source::a}, b = {Source::b};
  single_ = {begin, a, end};
  pair_ = roberta ? Template{begin, a, end, end, b, end} : Template{begin, a, end, b, end};
}

void PostProcessor::read_sequence(const JsonPart& part) {
  part.only({"processors"});
  for (const JsonPart& step : part.parts("processors")) {
    const PostProcessor one(step);
    if (one.adds_nothing()) continue;
    check(adds_nothing(), step.what(), ": a second processor that adds tokens");
    *this = one;
  }
}

bool PostProcessor::adds_nothing() const {
  return std::none_of(single_.begin(), single_.end(),
                      [](const Slot& s) { return s.source == Source::tokens; }) &&
         std::none_of(pair_.begin(), pair_.end(), [](const Slot& s) { return s.source == Source::tokens; });
}

std::vector<TokenId> PostProcessor::around(std::span<const TokenId> a) const {
  std::vector<TokenId> out;
  for (const Slot& slot : single_) {
    const std::span<const TokenId> ids = slot.source == Source::a ? a : std::span<const TokenId>(slot.tokens);
    out.insert(out.end(), ids.begin(), ids.end());
  }
  return out;
}

std::vector<TokenId> PostProcessor::around(std::span<const TokenId> a, std::span<const TokenId> b) const {
  std::vector<TokenId> out;
  for (const Slot& slot : pair_) {
    const std::span<const TokenId> ids = slot.source == Source::a   ? a
                                         : slot.source == Source::b ? b
                                                                    : std::span<const TokenId>(slot.tokens);
    out.insert(out.end(), ids.begin(), ids.end());
  }
  return out;
}

std::vector<TokenId> PostProcessor::before() const {
  std::vector<TokenId> out;
  for (const Slot& slot : single_) {
    if (slot.source == Source::a) break;
    out.insert(out.end(), slot.tokens.begin(), slot.tokens.end());
  }
  return out;
}

std::vector<TokenId> PostProcessor::behind() const {
  std::vector<TokenId> out;
  for (auto slot = single_.rbegin(); slot != single_.rend() && slot->source != Source::a; ++slot)
    out.insert(out.begin(), slot->tokens.begin(), slot->tokens.end());
  return out;
}

TokenId PostProcessor::largest_id() const {
  TokenId largest = no_token;
  for (const Template* slots : {&single_, &pair_})
    for (const Slot& slot : *slots)
      for (const TokenId id : slot.tokens) largest = largest == no_token ? id : std::max(largest, id);
  return largest;
}

}  // namespace data
