// Read first: bpe_files.h.
#include "data/bpe_files.h"

#include <algorithm>
#include <charconv>
#include <unordered_map>
#include <utility>

#include "data/byte_alphabet.h"
#include "data/utf8.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/text.h"

namespace data {

using engine::check;
using engine::SortedJson;

namespace {

constexpr size_t most_file_bytes = size_t(256) << 20;
constexpr const char* end_of_text = "<|endoftext|>";

std::string quoted(const std::string& text) { return engine::json_text(engine::Json(text)); }

// ---- the vocabulary: token text -> id, ids dense from 0 ----

using TextToId = std::unordered_map<std::string, TokenId>;

void add_token(TextToId& ids, const std::string& text, const SortedJson& id, const std::string& what) {
  check(id.is_number_integer() && id >= 0 && id < int64_t(1) << 24, what, ": token ",
        quoted(text).substr(0, 64), " has id ", engine::json_text(id).substr(0, 32),
        ", expected an integer from 0 on");
  const auto [place, added] = ids.emplace(text, TokenId(id));
  check(added || place->second == TokenId(id), what, ": token ", quoted(text).substr(0, 64), " has two ids, ",
        place->second, " and ", engine::json_text(id));
}

/// tokens[id] = text; every id from 0 to the number of tokens once.
std::vector<std::string> by_id(const TextToId& ids, const std::string& what) {
  std::vector<std::string> texts(ids.size());
  std::vector<bool> seen(ids.size());
  for (const auto& [text, id] : ids) {
    check(id < ids.size(), what, ": ", ids.size(), " tokens must have the ids 0 to ", ids.size() - 1,
          ", got ", id);
    check(!seen[id], what, ": id ", id, " belongs to two tokens, ", quoted(texts[id]), " and ", quoted(text));
    seen[id] = true;
    texts[id] = text;
  }
  return texts;
}

/// Fills model.tokens from texts in the byte alphabet; special tokens are taken as they are written.
void set_tokens(BpeModel& model, const std::vector<std::string>& texts, const std::string& what) {
  model.tokens.resize(texts.size());
  for (const SpecialToken& token : model.special) model.tokens[token.id] = token.text;
  std::vector<bool> is_special(texts.size());
  for (const SpecialToken& token : model.special) is_special[token.id] = true;
  for (size_t id = 0; id < texts.size(); ++id) {
    if (is_special[id]) continue;
    const auto bytes = alphabet_to_bytes(texts[id]);
    check(bytes.has_value(), what, ": token ", id, " (", quoted(texts[id]).substr(0, 64),
          ") is not written in GPT-2's byte alphabet");
    model.tokens[id] = *bytes;
  }
}

void add_merge(BpeModel& model, const TextToId& ids, const std::string& left, const std::string& right,
               const std::string& what) {
  const auto id_of = [&](const std::string& text) {
    const auto found = ids.find(text);
    check(found != ids.end(), what, ": merge ", model.merges.size(), " needs ", quoted(text).substr(0, 64),
          ", which is not in the vocabulary");
    return found->second;
  };
  model.merges.push_back({id_of(left), id_of(right), id_of(left + right)});
}

void add_merge_line(BpeModel& model, const TextToId& ids, std::string_view line, const std::string& what) {
  const size_t space = line.find(' ');
  check(space != line.npos && space > 0 && space + 1 < line.size() && line.find(' ', space + 1) == line.npos,
        what, ": merge ", model.merges.size(), " is not two tokens with a space between");
  add_merge(model, ids, std::string(line.substr(0, space)), std::string(line.substr(space + 1)), what);
}

std::string_view without_return(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// ---- Hugging Face's tokenizer.json: what we can do, and what must therefore not be asked ----

/// Fails unless object[key] is absent or one of `allowed` (as JSON).
void expect(const SortedJson& object, const std::string& key, const std::vector<SortedJson>& allowed,
            const std::string& what) {
  if (!object.contains(key)) return;
  if (std::find(allowed.begin(), allowed.end(), object[key]) != allowed.end()) return;
  std::vector<std::string> names;
  for (const SortedJson& value : allowed) names.push_back(engine::json_text(value));
  engine::fail(what, ": \"", key, "\" is ", engine::json_text(object[key]).substr(0, 64),
               "; this reader knows ", engine::one_of(names));
}

void expect_object(const SortedJson& json, const std::string& key, const std::string& what) {
  check(json.contains(key) && json[key].is_object(), what, ": \"", key, "\" must be an object");
}

std::vector<SpecialToken> read_added_tokens(const SortedJson& json, TextToId& ids, const std::string& what) {
  std::vector<SpecialToken> special;
  if (!json.contains("added_tokens")) return special;
  check(json["added_tokens"].is_array(), what, ": \"added_tokens\" must be a list");
  for (const SortedJson& entry : json["added_tokens"]) {
    const std::string where = what + ": added_tokens[" + std::to_string(special.size()) + "]";
    check(entry.is_object() && entry.contains("content") && entry["content"].is_string() &&
              entry.contains("id"),
          where, " needs \"id\" and \"content\"");
    expect(entry, "single_word", {false}, where);
    SpecialToken token{entry["content"]};
    check(!token.text.empty(), where, ": \"content\" is empty");
    add_token(ids, token.text, entry["id"], where);
    token.id = ids[token.text];
    for (const auto& [key, flag] : {std::pair{"lstrip", &token.strip_left}, {"rstrip", &token.strip_right}}) {
      expect(entry, key, {false, true}, where);
      *flag = entry.value(key, false);
    }
    special.push_back(token);
  }
  std::sort(special.begin(), special.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  return special;
}

}  // namespace

BpeModel bpe_from_hugging_face(const SortedJson& json, const std::string& what) {
  const SortedJson none;
  expect(json, "normalizer", {none}, what);
  expect_object(json, "pre_tokenizer", what);
  const SortedJson& pre = json["pre_tokenizer"];
  check(pre.contains("type"), what, ": \"pre_tokenizer\" has no \"type\"");
  expect(pre, "type", {"ByteLevel"}, what + ": pre_tokenizer");
  expect(pre, "add_prefix_space", {false}, what + ": pre_tokenizer");
  expect(pre, "use_regex", {true}, what + ": pre_tokenizer");
  if (json.contains("decoder") && json["decoder"].is_object()) {
    expect(json["decoder"], "type", {"ByteLevel"}, what + ": decoder");
  }

  expect_object(json, "model", what);
  const SortedJson& source = json["model"];
  expect(source, "type", {"BPE"}, what + ": model");
  expect(source, "dropout", {none, 0.0}, what + ": model");
  expect(source, "continuing_subword_prefix", {none, ""}, what + ": model");
  expect(source, "end_of_word_suffix", {none, ""}, what + ": model");
  expect(source, "byte_fallback", {false}, what + ": model");
  expect(source, "ignore_merges", {false}, what + ": model");
  expect_object(source, "vocab", what + ": model");

  TextToId ids;
  for (const auto& [text, id] : source["vocab"].items()) add_token(ids, text, id, what + ": model.vocab");
  BpeModel model;
  model.special = read_added_tokens(json, ids, what);
  set_tokens(model, by_id(ids, what), what);

  check(source.contains("merges") && source["merges"].is_array(), what, ": \"model.merges\" must be a list");
  for (const SortedJson& merge : source["merges"]) {
    if (merge.is_string()) {
      add_merge_line(model, ids, merge.get_ref<const std::string&>(), what);
    } else {
      const bool pair = merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string();
      check(pair, what, ": merge ", model.merges.size(), " is neither \"a b\" nor [\"a\", \"b\"]");
      add_merge(model, ids, merge[0], merge[1], what);
    }
  }
  if (json.contains("post_processor")) model.post_processor = engine::json_text(json["post_processor"]);
  return model;
}

std::string bpe_to_hugging_face(const BpeModel& model) {
  std::string added;
  for (const SpecialToken& token : model.special) {
    const engine::Json entry = {{"id", token.id},
                                {"content", token.text},
                                {"single_word", false},
                                {"lstrip", token.strip_left},
                                {"rstrip", token.strip_right},
                                {"normalized", false},
                                {"special", true}};
    added += (added.empty() ? "\n    " : ",\n    ") + engine::json_text(entry);
  }
  std::string vocab, merges;
  const std::vector<std::string> texts = token_texts(model);
  for (size_t id = 0; id < texts.size(); ++id) {
    vocab += (id == 0 ? "\n      " : ",\n      ") + quoted(texts[id]) + ": " + std::to_string(id);
  }
  for (const BpeMerge& merge : model.merges) {
    merges +=
        (merges.empty() ? "\n      " : ",\n      ") + quoted(texts[merge.left] + " " + texts[merge.right]);
  }
  const std::string byte_level =
      R"({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true})";
  return R"({
  "version": "1.0",
  "truncation": null,
  "padding": null,
  "added_tokens": [)" +
         added + R"(],
  "normalizer": null,
  "pre_tokenizer": )" +
         byte_level + R"(,
  "post_processor": )" +
         model.post_processor + R"(,
  "decoder": )" +
         byte_level + R"(,
  "model": {
    "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
    "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
    "vocab": {)" +
         vocab + R"(},
    "merges": [)" +
         merges + R"(]
  }
}
)";
}

BpeModel bpe_from_gpt2_files(const std::string& vocab_path, const std::string& merges_path) {
  const SortedJson vocab =
      engine::parse_sorted_json(engine::read_file(vocab_path, most_file_bytes), vocab_path);
  check(vocab.is_object(), vocab_path, ": expected a JSON object from token to id");
  TextToId ids;
  for (const auto& [text, id] : vocab.items()) add_token(ids, text, id, vocab_path);
  BpeModel model;
  if (const auto found = ids.find(end_of_text); found != ids.end())
    model.special.push_back({end_of_text, found->second});
  set_tokens(model, by_id(ids, vocab_path), vocab_path);

  const std::string merges = engine::read_file(merges_path, most_file_bytes);
  const size_t valid = valid_utf8_prefix(merges);
  check(valid == merges.size(), merges_path, ": invalid UTF-8 at byte ", valid);
  bool first = true;
  each_line(merges, [&](std::string_view line) {
    line = without_return(line);
    const bool version = std::exchange(first, false) && line.starts_with("#version");
    if (!line.empty() && !version) add_merge_line(model, ids, line, merges_path);
  });
  check(!model.merges.empty(), merges_path, ": no merges");
  return model;
}

void save_gpt2_files(const BpeModel& model, const std::string& vocab_path, const std::string& merges_path) {
  std::string vocab = "{", merges = "#version: 0.2\n";
  const std::vector<std::string> texts = token_texts(model);
  for (size_t id = 0; id < texts.size(); ++id) {
    vocab += (id == 0 ? "" : ", ") + quoted(texts[id]) + ": " + std::to_string(id);
  }
  for (const BpeMerge& merge : model.merges) merges += texts[merge.left] + " " + texts[merge.right] + "\n";
  engine::write_file(vocab_path, vocab + "}");
  engine::write_file(merges_path, merges);
}

BpeModel with_fairseq_dictionary(const BpeModel& gpt2, const std::string& dictionary_path) {
  const std::string text = engine::read_file(dictionary_path, most_file_bytes);
  BpeModel model;
  model.tokens = {"<s>", "<pad>", "</s>", "<unk>"};
  std::vector<TokenId> new_id(gpt2.tokens.size(), no_token);
  size_t number = 0;
  each_line(text, [&](std::string_view line) {
    line = without_return(line);
    const std::string where = dictionary_path + ": line " + std::to_string(++number);
    const size_t space = line.rfind(' ');
    check(space != line.npos && space > 0, where, ": expected a symbol, a space and a count");
    const std::string_view symbol = line.substr(0, space);
    TokenId old = 0;
    const auto [end, error] = std::from_chars(symbol.data(), symbol.data() + symbol.size(), old);
    if (error == std::errc() && end == symbol.data() + symbol.size()) {
      check(old < gpt2.tokens.size(), where, ": id ", old, " is outside the vocabulary of ",
            gpt2.tokens.size());
      check(new_id[old] == no_token, where, ": id ", old, " appears twice");
      new_id[old] = TokenId(model.tokens.size());
      model.tokens.push_back(gpt2.tokens[old]);
    } else {
      check(alphabet_to_bytes(symbol) == std::string(symbol), where, ": \"", std::string(symbol),
            "\" is neither an id nor a plain filler word");
      model.tokens.emplace_back(symbol);
    }
  });
  for (size_t old = 0; old < new_id.size(); ++old) {
    check(new_id[old] != no_token, dictionary_path, ": id ", old, " of the vocabulary is missing (",
          quoted(bytes_to_alphabet(gpt2.tokens[old])).substr(0, 64), " would become <unk>)");
  }
  for (const BpeMerge& m : gpt2.merges)
    model.merges.push_back({new_id[m.left], new_id[m.right], new_id[m.result]});
  for (TokenId id = 0; id < 4; ++id) model.special.push_back({model.tokens[id], id});
  // fairseq strips the white space before <mask> when it fills one in; so does Hugging Face's file.
  model.special.push_back({"<mask>", TokenId(model.tokens.size()), true});
  model.tokens.push_back("<mask>");
  const SortedJson post = {{"type", "RobertaProcessing"},
                           {"sep", {"</s>", 2}},
                           {"cls", {"<s>", 0}},
                           {"trim_offsets", true},
                           {"add_prefix_space", false}};
  model.post_processor = engine::json_text(post);
  return model;
}

}  // namespace data
