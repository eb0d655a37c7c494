// Read first: text_run.h.
#include "train/text/text_run.h"

#include <algorithm>
#include <cstdio>
#include <optional>

#include "data/corpus.h"
#include "data/packages.h"
#include "data/prepare.h"
#include "data/recipes.h"
#include "data/token_stream.h"
#include "data/train_tokenizer.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "engine/base/limits.h"
#include "engine/base/log.h"
#include "engine/base/stop.h"
#include "engine/base/text.h"
#include "models/size_presets.h"
#include "train/checkpoint/checkpoint_dir.h"
#include "train/evaluation/count_progress.h"
#include "train/evaluation/perplexity_report.h"
#include "train/expectation.h"
#include "train/open_model.h"
#include "train/sample.h"
#include "train/text/text_plan.h"

namespace train {
namespace {

using engine::check;
using engine::Json;
using engine::log_info;

constexpr int64_t kMostToLearnFrom = int64_t(256) << 20;  // bytes of text that a tokenizer learns from

/// The value of "a.b" in a config's JSON, or null.
Json at_path(const Json& json, const std::string& section, const std::string& key) {
  if (!json.contains(section) || !json[section].is_object()) return {};
  return json[section].contains(key) ? json[section][key] : Json();
}
std::string text_at(const Json& json, const std::string& section, const std::string& key) {
  const Json value = at_path(json, section, key);
  return value.is_string() ? value.get<std::string>() : "";
}
double number_at(const Json& json, const std::string& section, const std::string& key) {
  const Json value = at_path(json, section, key);
  return value.is_number() ? value.get<double>() : 0;
}

data::ReadOptions read_options(const TextRequest& request) {
  return {request.field.empty() ? "text" : request.field, !request.field.empty()};
}

/// A single folder whose files' names, or whose manifest, say what is for training and what is held out.
bool is_split(const TextRequest& request) {
  if (request.texts.size() != 1 || !engine::is_directory(request.texts[0])) return false;
  const std::vector<std::string> files = data::files_of_sets(request.texts[0]);
  return std::any_of(files.begin(), files.end(), [&](const std::string& f) {
    return f != request.texts[0] && data::set_of_file(f) != "train";
  });
}

/// Reads the texts, cleans them, and writes FOLDER/text as `normlab corpus` does.
void write_corpus(const TextRequest& request, const std::string& folder) {
  data::CorpusBuilder builder({}, folder);
  size_t bytes = 0;
  const auto add = [&](data::Document&& document) {
    engine::check_stop();
    bytes += document.text.size();
    builder.add(std::move(document));
  };
  data::CorpusSource source{.name = "", .licence = "", .origin = Json::array()};
  for (const std::string& name : request.texts) {
    data::CorpusSource part{name, "not stated", {{"path", name}}};
    if (const data::Recipe* recipe = data::find_recipe(name);
        recipe != nullptr && !engine::file_exists(name)) {
      part = data::read_recipe(*recipe, data::default_cache(), add);
    } else {
      std::vector<std::string> names;
      for (const data::Recipe& r : data::recipes()) names.push_back(r.name);
      check(name == "-" || engine::file_exists(name), name,
            ": no such file or folder, and no corpus by that name",
            engine::near_hint(name, names, " (nearest name: ", ")"));
      data::read_documents(name, read_options(request), add);
    }
    source.name += (source.name.empty() ? "" : " + ") + part.name;
    source.licence += (source.licence.empty() ? "" : " + ") + part.licence;
    source.origin.push_back(part.origin);
  }
  check(int64_t(bytes) >= kLeastText, request.texts[0], ": ", bytes,
        " bytes of text are too few to train on (", kLeastText, " at least)");
  const Json manifest = builder.write(source);
  for (const Json& file : manifest["files"])
    log_info(folder, "/", file["file"].get<std::string>(), ": ",
             engine::human_bytes(file["bytes"].get<double>()), ", ", file["documents"].get<int64_t>(),
             " documents");
}

/// What the training documents are, counted and perhaps learned from.
struct TrainingText {
  int64_t bytes = 0, documents = 0;
  std::unique_ptr<data::Tokenizer> tokenizer;  // where one was to be learned
};
TrainingText read_training_text(const std::string& folder, const TextRequest& request,
                                models::Objective objective, bool learn) {
  TrainingText out;
  data::TrainOptions options{.kind = data::TokenizerKind::bpe};
  if (objective == models::Objective::mlm)
    options.special = {"<s>", "<pad>", "</s>", "<mask>"};
  else
    options.special = {data::kSeparatorLine};
  data::TokenizerTrainer trainer(options);
  for (const std::string& file : data::files_of_sets(folder)) {
    if (file != folder && data::set_of_file(file) != "train") continue;
    data::read_documents(file, read_options(request), [&](data::Document&& document) {
      engine::check_stop();
      const bool used = learn && out.bytes < kMostToLearnFrom;
      out.bytes += int64_t(document.text.size()), ++out.documents;
      if (used) trainer.add(std::move(document.text));
    });
  }
  if (!learn) return out;
  const int64_t tokens = vocabulary_for(out.bytes, objective);
  log_info("tokenizer: ", tokens, " byte-level pairs, a token for each 768 bytes of ",
           engine::human_bytes(double(out.bytes)), " or so (data.tokenizer=DIR takes another one)");
  trainer.set_vocab_size(size_t(tokens));
  out.tokenizer = trainer.learn();
  return out;
}

struct Shards {
  int64_t train = 0, valid = 0;
  std::string held_out;  // "valid" or "test": what there is beside train
};
Shards make_shards(const data::Tokenizer& tokenizer, const std::string& text, const std::string& folder,
                   models::Objective objective, const TextRequest& request) {
  data::PrepareOptions options;
  options.folder = folder;
  options.read = read_options(request);
  options.existing = data::Existing::replace;  // the folder is this run's alone
  if (objective == models::Objective::mlm) options.units = data::Units::line;
  const int64_t bytes = [&] {
    int64_t sum = 0;
    for (const std::string& file : data::files_of_sets(text)) sum += int64_t(engine::file_size(file));
    return sum;
  }();
  CountProgress progress("prepare", "bytes", bytes);
  int64_t before = 0, here = 0;
  std::string set;
  options.progress = [&](const data::PrepareProgress& p) {
    engine::check_stop();
    if (p.set != set) set = p.set, before += here, here = 0;
    here = p.bytes;
    progress.update(before + here, bytes > 0 ? std::min(1.0, double(before + here) / double(bytes)) : 0);
  };
  Shards out;
  for (const data::PreparedSet& made : data::prepare(tokenizer, {text}, options)) {
    const std::string name = made.name.substr(made.name.rfind('/') + 1);
    if (name == "train")
      out.train = made.tokens;
    else if (out.held_out.empty() || name == "valid")
      out.valid = made.tokens, out.held_out = name;
  }
  check(out.train > 0, text, ": no text to train on");
  check(!out.held_out.empty(), text, ": nothing is held out to validate on");
  return out;
}

/// `patch` over `base`, key by key.
void merge(Json& base, const Json& patch) {
  for (const auto& [key, value] : patch.items()) {
    if (value.is_object() && base.contains(key) && base[key].is_object())
      merge(base[key], value);
    else
      base[key] = value;
  }
}

/// A budget of work is given: then the rules add none of their own. (To one of time they add the readings.)
bool has_budget(const Json& given) {
  for (const char* key : {"steps", "tokens", "epochs"})
    if (number_at(given, "budget", key) > 0) return true;
  return false;
}

models::Objective objective_of(const Json& given, const std::optional<models::ModelConfig>& source) {
  if (source) return source->objective;
  const std::string sampler = text_at(given, "data", "sampler"),
                    objective = text_at(given, "model", "objective"),
                    preset = text_at(given, "model", "preset");
  if (sampler == "mlm" || objective == "mlm") return models::Objective::mlm;
  return sampler.empty() && objective.empty() && !preset.empty()
             ? models::find_size_preset(preset).config.objective
             : models::Objective::clm;
}

/// The most positions that the user's own settings leave for a row; 0: any.
int64_t most_context(const Json& given) {
  int64_t most = 0;
  for (const char* section : {"model", "data"})
    if (const Json value = at_path(given, section, "context");
        value.is_number_integer() && value.get<int64_t>() > 0)
      most = most > 0 ? std::min(most, value.get<int64_t>()) : value.get<int64_t>();
  return most;
}

}  // namespace

Json make_text_run(const TextRequest& request) {
  const Json& given = request.given;
  std::optional<models::ModelConfig> source;
  std::string source_folder;
  if (given.contains("from") && given["from"].is_string() && !given["from"].get<std::string>().empty()) {
    source_folder = resolve_model(given["from"].get<std::string>());
    source = config_of_model(source_folder);
  }
  const models::Objective objective = objective_of(given, source);
  check(objective != models::Objective::classify, source_folder,
        ": classifies rows; it cannot be trained on text");

  const bool split = is_split(request);
  const std::string text = split ? request.texts[0] : request.folder + "/text";
  if (!split) write_corpus(request, text);

  const std::string own = request.folder + "/tokenizer", named = text_at(given, "data", "tokenizer");
  std::string tokenizer_folder = !named.empty() ? named : source ? source_folder : own;
  check(!source || !named.empty() || data::has_tokenizer(source_folder), source_folder,
        ": no tokenizer there; name one with --set data.tokenizer=DIR");
  const bool learn = tokenizer_folder == own;
  TrainingText training = read_training_text(text, request, objective, learn);
  if (learn) training.tokenizer->save(own);
  const std::unique_ptr<const data::Tokenizer> tokenizer =
      learn ? std::move(training.tokenizer) : data::load_tokenizer(tokenizer_folder);
  const std::string tokens = request.folder + "/tokens";
  const Shards shards = make_shards(*tokenizer, text, tokens, objective, request);
  log_info("tokens: ", engine::human_count(double(shards.train)), " to train on, ",
           engine::human_count(double(shards.valid)), " to validate on");

  // What no text of a config can be taken from is refused already: these are of the right type and size.
  const TrainConfig known = parse_config(given, "--text", {}, Rules::single_keys);
  const MeasuredPeak peak =
      measured_peak(known.precision, known.threads > 0 ? known.threads : request.threads, Peak::recent);
  const auto rows_at = [&](const char* key) {
    const Json value = at_path(given, "data", key);
    return value.is_number_integer() ? std::max<int64_t>(0, value.get<int64_t>()) : 0;
  };
  const TextFacts facts{.bytes = training.bytes,
                        .documents = training.documents,
                        .tokens = shards.train,
                        .valid_tokens = shards.valid,
                        .vocabulary = int64_t(tokenizer->vocab_size()),
                        .objective = objective,
                        .seconds = number_at(given, "budget", "seconds"),
                        .updates = number_at(given, "budget", "steps"),
                        .most_tokens = number_at(given, "budget", "tokens"),
                        .epochs = number_at(given, "budget", "epochs"),
                        .rate = number_at(given, "optim", "lr"),
                        .rows = rows_at("batch"),
                        .accumulate = rows_at("accumulate"),
                        .model = given.value("model", Json()),
                        .most_context = most_context(given),
                        .peak_flops = peak.flops * peak.reached * double(request.ranks),
                        .memory = engine::available_memory() / double(request.ranks_here),
                        .ranks = request.ranks};
  TextPlan plan = plan_text(facts, source ? &*source : nullptr);
  if (has_budget(given)) plan.config.erase("budget");
  for (const std::string& reason : plan.reasons) log_info(reason);
  Json config = std::move(plan.config);
  merge(config, given);
  if (!config.contains("data") || !config["data"].is_object()) config["data"] = Json::object();
  config["data"]["tokenizer"] = tokenizer_folder;
  config["data"]["train"] = tokens + "/train";
  config["data"]["valid"] = tokens + "/" + shards.held_out;
  return config;
}

bool is_text_run(const std::string& run) {
  return engine::is_directory(run + "/tokens") && engine::file_exists(run + "/config.json");
}

Json show_text_run(const std::string& run) {
  const OpenModel open = open_model(run, nn::Precision::of(engine::DType::f32));
  std::string held_out = run + "/tokens/valid";
  for (const char* name : {"/text/test.txt", "/text/test.jsonl"})
    if (engine::file_exists(run + name)) held_out = run + name;
  if (held_out.ends_with("valid") && engine::file_exists(run + "/tokens/test.json"))
    held_out = run + "/tokens/test";
  const Json report = perplexity_report(open, {.data = held_out});
  engine::write_file(run + "/test.json", engine::json_text(report, 1) + "\n");

  SampleOptions options{.tokens = 200};
  if (!open.model->config().causal()) {
    // A masked model needs a text to fill in: the beginning of what it was tested on.
    std::shared_ptr<const data::TokenStream> tokens = data::TokenStream::open(run + "/tokens/valid");
    options.ids.resize(size_t(std::min<int64_t>(tokens->size(), 60)));
    tokens->read(0, int64_t(options.ids.size()), options.ids.data());
  }
  const std::string sample = sample_text(*open.model, text_tokenizer(open), options);
  engine::write_file(run + "/sample.txt", sample + "\n");
  return {{"test", report}, {"sample", sample}};
}

}  // namespace train
