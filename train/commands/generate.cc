// normlab generate: text from a causal model, printed as it comes.
// Read first: models/generation.h, open_model.h.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <iterator>

#include "data/utf8_stream.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "models/generation.h"
#include "train/commands/cli.h"
#include "train/commands/commands.h"
#include "train/commands/compute_flags.h"
#include "train/open_model.h"
#include "train/signals.h"

namespace train {
namespace {

using engine::check;
using engine::Json;
using models::Ids;

const Usage usage = {
    "normlab generate",
    "continue a text with a causal model",
    {},
    {{"model", "DIR", "a run, a model directory or a Hugging Face directory", "", Arity::required},
     {"prompt", "TEXT", "the text to continue"},
     {"prompt-file", "FILE", "the same from a file; - is standard input"},
     {"tokens", "N", "tokens to generate at most", "200"},
     {"samples", "N", "texts to generate", "1"},
     {"temperature", "T", "0 always takes the most likely token", "0.8"},
     {"top-k", "K", "draw among the K most likely tokens; 0: all", "0"},
     {"top-p", "P", "draw among the fewest tokens whose probabilities reach P", "1"},
     {"seed", "N", "of the draws; sample i is the same for any number of samples", "1"},
     {"slide", "N", "tokens dropped at a time once the context is full", "1"},
     {"special", "", "recognise special tokens in the prompt"},
     {"tokenizer", "DIR", "a tokenizer in place of the model's own"},
     precision_flag,
     device_flag,
     {"json", "", "one JSON object at the end in place of text as it comes"}},
    "A prompt is read behind what the tokenizer puts before a text (<s>). Without one the text begins there, "
    "or\n"
    "after the end-of-text token. The text goes to standard output, tokens a second to standard error. It "
    "ends at\n"
    "eos_token_id of generation_config.json or config.json, else at the tokenizer's end-of-text token.\n"};

constexpr size_t most_prompt_bytes = size_t(64) << 20;

std::string prompt_text(const Arguments& args) {
  check(!(args.given("prompt") && args.given("prompt-file")),
        "--prompt and --prompt-file exclude each other");
  if (!args.given("prompt-file")) return args.text("prompt");
  const std::string file = args.text("prompt-file");
  if (file != "-") return engine::read_file(file, most_prompt_bytes);
  return {std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
}

// The prompt behind what the tokenizer puts before a text, unless it is written there already.
Ids prompt_ids(const OpenModel& open, const std::string& prompt, data::SpecialText special) {
  const data::Tokenizer& tokenizer = text_tokenizer(open);
  if (!prompt.empty()) {
    const std::vector<data::TokenId> body = tokenizer.encode(prompt, special);
    Ids ids = begin_of_prompt(tokenizer);
    if (std::equal(ids.begin(), ids.end(), body.begin(),
                   body.begin() + ptrdiff_t(std::min(ids.size(), body.size()))))
      ids.clear();
    ids.insert(ids.end(), body.begin(), body.end());
    return ids;
  }
  if (const Ids begin = begin_of_text(open); !begin.empty()) return begin;
  const bool words =
      tokenizer.kind() == data::TokenizerKind::word;  // its <eos> is a line end, not a beginning
  const data::TokenId end = words ? data::no_token : find_special(tokenizer, end_names);
  if (end != data::no_token) return {int32_t(end)};
  const std::vector<data::TokenId> line = tokenizer.encode("\n");
  check(!line.empty(), "this tokenizer has no end-of-text token to begin with; give a --prompt");
  return {line.begin(), line.end()};
}

// Text of tokens as they come. A token's text is looked up behind the token before it, because a word
// tokenizer decides by that neighbour whether a space stands between them.
class TextPrinter {
 public:
  TextPrinter(const data::Tokenizer& tokenizer, const Ids& prompt)
      : tokenizer_(tokenizer), before_(data::TokenId(prompt.back())) {}
  std::string add(int32_t id) {
    const data::TokenId pair[] = {before_, data::TokenId(id)};
    const size_t skip = tokenizer_.decode(std::span(pair).first(1)).size();
    before_ = pair[1];
    return stream_.push(std::string_view(tokenizer_.decode(pair)).substr(skip));
  }
  std::string finish() { return stream_.finish(); }

 private:
  const data::Tokenizer& tokenizer_;
  data::TokenId before_;
  data::Utf8Stream stream_;
};

}  // namespace

int cmd_generate(int argc, char** argv) {
  const Arguments args(usage, argc, argv);
  models::GenerateOptions options;
  options.max_tokens = args.integer("tokens", 1, 1'000'000);
  options.sampling = {.temperature = args.number("temperature", 0, 1e6),
                      .top_k = args.integer("top-k", 0, int64_t(1) << 31),
                      .top_p = args.number("top-p", 1e-12, 1)};
  const int64_t samples = args.integer("samples", 1, 1'000'000);
  const uint64_t seed = uint64_t(args.integer("seed", 0, int64_t(1) << 62));
  const bool json = args.on("json");
  const std::string prompt = prompt_text(args);
  const OpenModel open = open_model(args.text("model"), precision_of(args), args.text("tokenizer"));
  const data::Tokenizer& tokenizer = text_tokenizer(open);
  options.vocabulary = open.vocabulary;
  options.stops = ends_of_text(open);
  const Ids start = prompt_ids(
      open, prompt, args.on("special") ? data::SpecialText::recognised : data::SpecialText::ordinary);

  const auto begin = std::chrono::steady_clock::now();
  SignalGuard signals;
  models::Decoder decoder(*open.model, args.integer("slide", 1, open.model->config().context));
  const std::vector<double> first = decoder.read(start);
  int64_t total = 0;
  Json texts = Json::array();
  for (int64_t i = 0; i < samples && !signals.raised(); ++i) {
    if (i > 0) decoder.rewind(start.size());
    if (!json) print_text((i > 0 ? "\n---\n" : "") + data::well_formed(prompt));
    engine::Rng rng{seed, uint64_t(i) << 32};
    TextPrinter printer(tokenizer, start);
    std::string text;
    Json ids = Json::array();
    const auto on_token = [&](int32_t id) {
      const std::string piece = printer.add(id);
      if (json) {
        text += piece, ids.push_back(id);
      } else {
        print_text(piece);
        std::fflush(stdout);
      }
      return !signals.raised();
    };
    const int64_t n = models::generate(decoder, first, options, rng, on_token);
    total += n;
    const std::string rest = printer.finish();
    if (json)
      texts.push_back({{"text", text + rest}, {"ids", ids}, {"ended", n < options.max_tokens}});
    else
      print_text(rest + "\n");
  }
  std::fflush(stdout);  // before the line about speed, where both go to one place
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const double speed = seconds > 0 ? double(total) / seconds : 0;
  if (json) {
    const Json out = {{"model", open.folder}, {"prompt", data::well_formed(prompt)},
                      {"samples", texts},     {"tokens", total},
                      {"seconds", seconds},   {"tokens_per_second", speed}};
    std::printf("%s\n", engine::json_text(out, 1).c_str());
  }
  std::fprintf(stderr, "%lld tokens in %.2f s, %.1f tokens/s\n", (long long)total, seconds, speed);
  return signals.raised() ? 130 : 0;
}

}  // namespace train
