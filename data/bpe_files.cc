// Read first: bpe_files.h.
#include "data/bpe_files.h"

#include <algorithm>
#include <charconv>
#include <functional>

#include "data/byte_alphabet.h"
#include "data/pipeline/bpe_encoder.h"
#include "data/utf8.h"
#include "engine/base/check.h"
#include "engine/base/file.h"

namespace data {

using engine::check;

namespace {

constexpr size_t most_file_bytes = size_t(256) << 20;
constexpr const char* end_of_text = "<|endoftext|>";
constexpr const char* roberta_specials[] = {"<s>", "<pad>", "</s>", "<unk>", "<mask>"};

std::string_view without_return(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

/// RoBERTa's special tokens and what it puts around texts. The white space before <mask> belongs to it:
/// fairseq strips it when it fills one in, and so does Hugging Face's file.
void make_roberta(BpeModel& model, const std::function<TokenId(const std::string&)>& id_of) {
  model.special.clear();
  for (const char* text : roberta_specials) {
    AddedToken token{.text = text, .id = id_of(text)};
    token.strip_left = token.text == "<mask>";
    model.special.push_back(token);
  }
  const engine::SortedJson post = {{"type", "RobertaProcessing"},
                                   {"sep", {"</s>", id_of("</s>")}},
                                   {"cls", {"<s>", id_of("<s>")}},
                                   {"trim_offsets", true},
                                   {"add_prefix_space", false}};
  model.post_processor = engine::json_text(post);
}

void find_special(BpeModel& model, const Vocabulary& vocabulary, GptFiles whose, const std::string& path) {
  const bool all = std::all_of(std::begin(roberta_specials), std::end(roberta_specials),
                               [&](const char* text) { return vocabulary.id(text) != no_token; });
  check(all || whose != GptFiles::roberta, path,
        ": not RoBERTa's vocabulary: it lacks one of <s> <pad> </s> <unk> <mask>");
  if (all && whose != GptFiles::gpt2)
    return make_roberta(model, [&](const std::string& text) { return vocabulary.id(text); });
  const TokenId end = vocabulary.id(end_of_text);
  if (end != no_token) model.special.push_back({.text = end_of_text, .id = end});
}

/// The bytes of each token; special ones are taken as they are written, and so is what is not in the
/// alphabet: no text gives such a token.
void set_tokens(BpeModel& model, const Vocabulary& vocabulary) {
  for (const std::string& text : vocabulary.texts())
    model.tokens.push_back(alphabet_to_bytes(text).value_or(text));
  for (const AddedToken& token : model.special) model.tokens[token.id] = token.text;
}

}  // namespace

BpeModel bpe_from_gpt2_files(const std::string& vocab_path, const std::string& merges_path, GptFiles whose) {
  const engine::SortedJson json =
      engine::parse_sorted_json(engine::read_file(vocab_path, most_file_bytes), vocab_path);
  const Vocabulary vocabulary = Vocabulary::from_json(json, vocab_path);
  BpeModel model;
  find_special(model, vocabulary, whose, vocab_path);
  set_tokens(model, vocabulary);

  const std::string merges = engine::read_file(merges_path, most_file_bytes);
  const size_t valid = valid_utf8_prefix(merges);
  check(valid == merges.size(), merges_path, ": invalid UTF-8 at byte ", valid);
  std::string_view lines = merges;
  if (lines.starts_with("\uFEFF")) lines.remove_prefix(3);  // the byte order mark that some editors write
  each_line(lines, [&](std::string_view line) {
    line = without_return(line);
    if (line.empty() || line.starts_with("#version")) return;
    const auto [left, right] = split_merge_line(line, model.merges.size(), merges_path);
    model.merges.push_back(find_merge(vocabulary, left, right, 0, model.merges.size(), merges_path));
  });
  check(!model.merges.empty(), merges_path, ": no merges");
  return model;
}

void save_gpt2_files(const BpeModel& model, const std::string& vocab_path, const std::string& merges_path) {
  std::string vocab = "{", merges = "#version: 0.2\n";
  const std::vector<std::string> texts = token_texts(model);
  for (size_t id = 0; id < texts.size(); ++id) {
    if (texts[id].empty()) continue;
    vocab += (vocab.size() == 1 ? "" : ", ") + json_quoted(texts[id]) + ": " + std::to_string(id);
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
    check(new_id[old] != no_token || gpt2.tokens[old].empty(), dictionary_path, ": id ", old,
          " of the vocabulary is missing (", json_quoted(bytes_to_alphabet(gpt2.tokens[old])).substr(0, 64),
          " would become <unk>)");
  }
  for (const BpeMerge& m : gpt2.merges)
    model.merges.push_back({new_id[m.left], new_id[m.right], new_id[m.result]});
  model.tokens.push_back("<mask>");
  make_roberta(model, [&](const std::string& text) {
    return text == "<mask>" ? TokenId(model.tokens.size() - 1)
                            : TokenId(std::find(model.tokens.begin(), model.tokens.begin() + 4, text) -
                                      model.tokens.begin());
  });
  return model;
}

}  // namespace data
