// normlab generate: texts from a causal model, printed as they come. Read first: models/generation.h,
// open_model.h, generated_text.h.
#include <algorithm>
#include <chrono>
#include <cstdio>

#include "data/byte_source.h"
#include "data/utf8_stream.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "models/generation.h"
#include "train/commands/cli.h"
#include "train/commands/commands.h"
#include "train/commands/compute_flags.h"
#include "train/commands/generated_text.h"
#include "train/open_model.h"
#include "train/signals.h"

namespace train {
namespace {

using engine::check;
using engine::Json;
using models::Ids;

const Usage usage = {
    "normlab generate",
    "continue texts with a causal model",
    {},
    {{"model", "DIR", "a run, a model directory or a Hugging Face directory", "", Arity::required},
     {"prompt", "TEXT", "a text to continue; several times for several", "", Arity::repeated},
     {"prompt-file", "FILE", "a text to continue from a file; - is standard input"},
     {"prompts", "FILE",
      "texts to continue, one a line; of a .jsonl file each line's --field; - is standard input"},
     {"field", "NAME", "key of the text in a .jsonl file", "prompt"},
     {"tokens", "N", "tokens to generate at most", "200"},
     {"samples", "N", "texts to generate from each prompt", "1"},
     {"batch", "N", "texts that are continued together", "1"},
     {"stop", "TEXT", "end a text before this string; several times for several", "", Arity::repeated},
     {"temperature", "T", "0 always takes the most likely token", "0.8"},
     {"top-k", "K", "draw among the K most likely tokens; 0: all", "0"},
     {"top-p", "P", "draw among the fewest tokens whose probabilities reach P", "1"},
     {"repetition-penalty", "R",
      "logits of tokens seen before are divided by R (below 0: multiplied); 1: none", "1"},
     {"seed", "N", "of the draws; sample i is the same for any number of samples and prompts", "1"},
     {"slide", "N", "tokens dropped at a time once the context is full", "1"},
     {"special", "", "recognise special tokens in the prompt"},
     {"tokenizer", "DIR", "a tokenizer in place of the model's own"},
     precision_flag,
     device_flag,
     {"json", "", "one JSON object at the end in place of text as it comes"},
     {"jsonl", "", "a JSON object a text, on a line of its own, as each ends"}},
    "A prompt is read behind what the tokenizer puts before a text (<s>). Without one the text begins "
    "there,\n"
    "or after the end-of-text token. Texts go to standard output in the order of the prompts, tokens a "
    "second\n"
    "to standard error. A text ends at eos_token_id of generation_config.json or config.json, else at the\n"
    "tokenizer's end-of-text token. Texts of a batch have their own lengths and positions: nothing is "
    "padded.\n"
    "For one --batch a text is the same whatever stands beside it; another --batch may differ in the last\n"
    "bits, since products of one row and of several add in another order.\n"};

constexpr size_t most_prompt_bytes = size_t(64) << 20;

std::string read_text(const std::string& file) {
  if (file != "-") return engine::read_file(file, most_prompt_bytes);
  return data::read_all(*data::open_plain_bytes("-"), "standard input", most_prompt_bytes);
}

/// The texts of --prompts: lines, or the field of each line's object.
std::vector<std::string> read_prompts(const std::string& file, const std::string& field) {
  const std::string text = read_text(file);
  const bool json = file.ends_with(".jsonl");
  std::vector<std::string> prompts;
  for (size_t from = 0, line = 1; from < text.size(); ++line) {
    const size_t end = std::min(text.find('\n', from), text.size());
    std::string one = text.substr(from, end - from);
    if (one.ends_with('\r')) one.pop_back();
    from = end + 1;
    if (one.empty()) continue;
    if (json) {
      const std::string what = file + ": line " + std::to_string(line);
      const Json object = engine::parse_json(one, what);
      check(object.is_object() && object.contains(field), what, ": no key \"", field,
            "\" (--field names another)");
      one = engine::json_string(object[field], what + ": " + field);
    }
    prompts.push_back(one);
  }
  check(!prompts.empty(), file, ": no prompts there");
  return prompts;
}

std::vector<std::string> prompts_of(const Arguments& args) {
  const int ways = int(args.given("prompt")) + int(args.given("prompt-file")) + int(args.given("prompts"));
  check(ways <= 1, "--prompt, --prompt-file and --prompts exclude each other");
  check(!args.given("field") || args.given("prompts"), "--field needs --prompts");
  if (args.given("prompts")) return read_prompts(args.text("prompts"), args.text("field"));
  if (args.given("prompt-file")) return {read_text(args.text("prompt-file"))};
  if (args.given("prompt")) return args.values("prompt");
  return {""};
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
  const data::TokenId end = words ? data::no_token : tokenizer.roles().end;
  if (end != data::no_token) return {int32_t(end)};
  const std::vector<data::TokenId> line = tokenizer.encode("\n");
  check(!line.empty(), "this tokenizer has no end-of-text token to begin with; give a --prompt");
  return {line.begin(), line.end()};
}

enum class Form { text, json, jsonl };

/// Texts in their order: the first that has not ended is shown as it comes, those behind it when it has.
class Output {
 public:
  Output(Form form, const std::vector<std::string>& prompts, const std::vector<models::TextJob>& jobs,
         std::vector<GeneratedText> texts)
      : form_(form), prompts_(prompts), jobs_(jobs), texts_(std::move(texts)), waiting_(texts_.size()) {}

  bool add(size_t job, int32_t id) {
    show(job, texts_[job].add(id));
    return !texts_[job].stopped();
  }
  void end(size_t job, const char* how) {
    show(job, texts_[job].finish(how));
    while (first_ < jobs_.size() && texts_[first_].ended()) close();
  }
  /// Those that were being continued when everything was stopped.
  void interrupt() {
    for (size_t job = first_; job < jobs_.size(); ++job)
      if (texts_[job].begun() && !texts_[job].ended()) end(job, "interrupted");
  }
  Json samples(size_t prompt) const {
    Json list = Json::array();
    for (size_t job = 0; job < jobs_.size(); ++job)
      if (jobs_[job].prompt == prompt && texts_[job].ended()) list.push_back(texts_[job].json());
    return list;
  }

 private:
  void show(size_t job, const std::string& piece) {
    if (form_ != Form::text) return;
    if (job != first_) {
      waiting_[job] += piece;
      return;
    }
    open();
    print_text(piece);
    std::fflush(stdout);
  }
  /// The prompt of the first text, once, and what of it has waited.
  void open() {
    if (opened_) return;
    opened_ = true;
    print_text((first_ > 0 ? "\n---\n" : "") + data::well_formed(prompts_[jobs_[first_].prompt]));
    print_text(waiting_[first_]);
    waiting_[first_].clear();
  }
  void close() {
    if (form_ == Form::text) {
      open();
      print_text("\n");
    } else if (form_ == Form::jsonl) {
      Json line = {{"prompt", data::well_formed(prompts_[jobs_[first_].prompt])},
                   {"sample", jobs_[first_].sample}};
      line.update(texts_[first_].json());
      std::printf("%s\n", engine::json_text(line).c_str());
    }
    std::fflush(stdout);
    ++first_;
    opened_ = false;
    if (form_ == Form::text && first_ < jobs_.size() && !waiting_[first_].empty()) open();
  }

  Form form_;
  const std::vector<std::string>& prompts_;
  const std::vector<models::TextJob>& jobs_;
  std::vector<GeneratedText> texts_;
  std::vector<std::string> waiting_;
  size_t first_ = 0;
  bool opened_ = false;
};

const char* name_of(models::TextEnd end) {
  switch (end) {
    case models::TextEnd::stop: return "end of text";
    case models::TextEnd::caller: return "stop";
    case models::TextEnd::length: break;
  }
  return "length";
}

}  // namespace

int cmd_generate(int argc, char** argv) {
  const Arguments args(usage, argc, argv);
  models::BatchOptions options{.width = args.integer("batch", 1, 4096),
                               .seed = uint64_t(args.integer("seed", 0, int64_t(1) << 62))};
  options.each.max_tokens = args.integer("tokens", 1, 1'000'000);
  options.each.sampling = {.temperature = args.number("temperature", 0, 1e6),
                           .top_k = args.integer("top-k", 0, int64_t(1) << 31),
                           .top_p = args.number("top-p", 1e-12, 1),
                           .repetition_penalty = args.number("repetition-penalty", 1e-6, 1e6)};
  const int64_t samples = args.integer("samples", 1, 1'000'000);
  check(!(args.on("json") && args.on("jsonl")), "--json and --jsonl exclude each other");
  const Form form = args.on("json") ? Form::json : args.on("jsonl") ? Form::jsonl : Form::text;
  const std::vector<std::string> prompts = prompts_of(args);
  const OpenModel open =
      open_model(args.text("model"), precision_of(args), args.text("tokenizer"));
  const data::Tokenizer& tokenizer = text_tokenizer(open);
  options.each.vocabulary = open.vocabulary;
  options.each.stops = ends_of_text(open);
  options.slide = args.integer("slide", 1, open.model->config().context);
  const auto special = args.on("special") ? data::SpecialText::recognised : data::SpecialText::ordinary;
  std::vector<Ids> starts;
  for (const std::string& prompt : prompts) starts.push_back(prompt_ids(open, prompt, special));
  std::vector<models::TextJob> jobs;
  std::vector<GeneratedText> texts;
  for (size_t p = 0; p < prompts.size(); ++p)
    for (int64_t i = 0; i < samples; ++i) {
      jobs.push_back({p, size_t(i)});
      texts.emplace_back(tokenizer, starts[p].back(), args.values("stop"));
    }

  const auto begin = std::chrono::steady_clock::now();
  SignalGuard signals;
  Output output(form, prompts, jobs, std::move(texts));
  const int64_t total = models::generate_all(
      *open.model, starts, jobs, options, [&](size_t job, int32_t id) { return output.add(job, id); },
      [&](size_t job, models::TextEnd end) { output.end(job, name_of(end)); },
      [&] { return signals.raised(); });
  output.interrupt();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const double speed = seconds > 0 ? double(total) / seconds : 0;
  if (form == Form::json) {
    Json out = {
        {"model", open.folder}, {"tokens", total}, {"seconds", seconds}, {"tokens_per_second", speed}};
    if (prompts.size() == 1 && !args.given("prompts")) {
      out["prompt"] = data::well_formed(prompts[0]), out["samples"] = output.samples(0);
    } else {
      for (size_t p = 0; p < prompts.size(); ++p)
        out["prompts"].push_back({{"prompt", data::well_formed(prompts[p])}, {"samples", output.samples(p)}});
    }
    std::printf("%s\n", engine::json_text(out, 1).c_str());
  }
  std::fflush(stdout);  // before the line about speed, where both go to one place
  std::fprintf(stderr, "%lld tokens in %.2f s, %.1f tokens/s\n", (long long)total, seconds, speed);
  return signals.raised() ? 130 : 0;
}

}  // namespace train
