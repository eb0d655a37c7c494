// normlab fill-mask: what a masked LM puts in place of <mask>. Read first: models/fill_mask.h, open_model.h.
#include "models/fill_mask.h"

#include <cstdio>

#include "data/utf8_stream.h"
#include "engine/base/json.h"
#include "engine/base/text.h"
#include "train/commands/cli.h"
#include "train/commands/commands.h"
#include "train/open_model.h"

namespace train {
namespace {

using engine::check;
using engine::Json;

const Usage usage = {
    "normlab fill-mask",
    "the most likely tokens in place of each mask",
    {{"TEXT", "a text with <mask> (or the tokenizer's own mask token) in it"}},
    {{"model", "DIR", "a run, a model directory or a Hugging Face directory", "", Arity::required},
     {"top", "N", "candidates for each mask", "5"},
     {"tokenizer", "DIR", "a tokenizer in place of the model's own"},
     {"precision", "f64|f32|bf16|f16", "what to compute in", "f32"},
     {"json", "", "one JSON object in place of a table"}},
    ""};

constexpr const char* mask_names[] = {"<mask>", "[MASK]"};

// The text with every spelling of the mask in the tokenizer's own.
std::string with_own_mask(std::string text, const std::string& own) {
  for (const std::string name : mask_names) {
    if (name == own) continue;
    for (size_t at = 0; (at = text.find(name, at)) != std::string::npos; at += own.size())
      text.replace(at, name.size(), own);
  }
  return text;
}

// What the tokenizer's post-processor makes of the text; without one a row as in training: the begin token,
// the text, and the end token, where there are such.
models::Ids row_ids(const data::Tokenizer& tokenizer, const std::string& text) {
  const std::vector<data::TokenId> body = tokenizer.encode(text, data::SpecialText::recognised);
  std::vector<data::TokenId> row = tokenizer.with_special_tokens(body);
  if (row.size() == body.size()) {
    const data::SpecialRoles& roles = tokenizer.roles();
    if (roles.begin != data::no_token) row.insert(row.begin(), roles.begin);
    if (roles.end != data::no_token) row.push_back(roles.end);
  }
  return {row.begin(), row.end()};
}

std::string token_text(const data::Tokenizer& tokenizer, int32_t id) {
  const data::TokenId one[] = {data::TokenId(id)};
  return data::well_formed(tokenizer.decode(one));
}

// The text with the likeliest candidate in place of each mask, in brackets.
std::string filled(std::string text, const std::string& own, const std::vector<std::string>& best) {
  size_t at = 0;
  for (const std::string& token : best) {
    if ((at = text.find(own, at)) == std::string::npos) break;
    const std::string word = "[" + token + "]";
    text.replace(at, own.size(), word);
    at += word.size();
  }
  return text;
}

// Quoted, so that spaces and line ends are seen.
std::string quoted(const std::string& text) { return engine::printable(engine::json_text(Json(text))); }

}  // namespace

int cmd_fill_mask(int argc, char** argv) {
  const Arguments args(usage, argc, argv);
  const OpenModel open =
      open_model(args.text("model"), engine::parse_dtype(args.text("precision")), args.text("tokenizer"));
  const data::Tokenizer& tokenizer = text_tokenizer(open);
  const data::TokenId mask = tokenizer.roles().mask;
  check(mask != data::no_token, open.folder, ": the tokenizer has no mask token (<mask>)");
  std::string own;
  for (const data::AddedToken& token : tokenizer.special_tokens())
    if (token.id == mask) own = token.text;
  const std::string text = with_own_mask(args.positional(0), own);
  const models::Ids ids = row_ids(tokenizer, text);
  const std::vector<models::FilledMask> masks = models::fill_mask(
      *open.model, ids,
      {.mask = int32_t(mask), .top = args.integer("top", 1, 1'000'000), .vocabulary = open.vocabulary});

  if (!args.on("json")) {
    std::vector<std::string> best;
    for (const models::FilledMask& m : masks) best.push_back(token_text(tokenizer, m.candidates.front().id));
    print_text(data::well_formed(text) + "\n" + data::well_formed(filled(text, own, best)) + "\n");
    for (size_t i = 0; i < masks.size(); ++i) {
      std::printf("mask %zu (token %lld)\n", i + 1, (long long)masks[i].position);
      for (const models::Candidate& c : masks[i].candidates)
        std::printf("  %6.2f %%  %s\n", 100 * c.probability, quoted(token_text(tokenizer, c.id)).c_str());
    }
    return 0;
  }
  Json results = Json::array();
  for (const models::FilledMask& m : masks) {
    Json list = Json::array();
    for (const models::Candidate& c : m.candidates)
      list.push_back({{"token", token_text(tokenizer, c.id)}, {"id", c.id}, {"probability", c.probability}});
    results.push_back({{"position", m.position}, {"candidates", list}});
  }
  const Json out = {{"model", open.folder}, {"text", data::well_formed(text)}, {"results", results}};
  std::printf("%s\n", engine::json_text(out, 1).c_str());
  return 0;
}

}  // namespace train
