// Read first: run_data.h, data/batches.h.
#include "train/run_data.h"

#include <cstring>

#include "data/clm_rows.h"
#include "data/mlm_rows.h"
#include "data/shard_set.h"
#include "data/token_stream.h"
#include "data/tokenizer.h"
#include "data/whole_words.h"
#include "engine/base/stop.h"
#include "models/size_presets.h"
#include "train/checkpoint/checkpoint_dir.h"
#include "train/open_model.h"

namespace train {

using data::TokenId;
using data::Tokenizer;
using engine::check;
using engine::Tensor;

namespace {

int32_t needed_special(TokenId id, const char* name, const char* role) {
  check(id != data::no_token, "data.tokenizer: a masked LM needs a ", role, " token (", name,
        "), and this tokenizer has none");
  return int32_t(id);
}

std::shared_ptr<const data::Rows> make_rows(const TrainConfig& config, const RunData& run,
                                            std::shared_ptr<const data::TokenStream> tokens, bool training) {
  const uint64_t seed = uint64_t(config.seed) + (training ? 0 : 1);
  if (config.data.sampler == Sampler::mlm) {
    check(run.tokenizer != nullptr, "data.tokenizer: the mlm sampler needs one, for its mask and pad tokens");
    return masked_rows(config.data, *run.tokenizer, std::move(tokens), run.context, seed);
  }
  if (!training) return data::clm_blocks(tokens, run.context, data::Targets::next, data::LastRow::keep);
  if (config.data.sampler == Sampler::random_crop) return data::clm_random_crops(tokens, run.context, seed);
  return data::clm_blocks(tokens, run.context);
}

/// Error unless a validation of a masked LM has anything to score: its draw, the same each time, may choose
/// nothing.
void check_scored(const data::ValidationBatches& batches, int64_t limit, const std::string& path) {
  const int64_t count = limit > 0 ? std::min(limit, batches.count()) : batches.count();
  for (int64_t i = 0; i < count; ++i)
    if (batches.at(i).scored > 0) return;
  engine::fail(path,
               ": none of the positions that a validation reads is scored; more text, eval.batches or "
               "data.mask_probability is needed");
}

}  // namespace

std::shared_ptr<const data::TokenStream> open_tokens(const std::string& path, const Tokenizer* tokenizer) {
  auto tokens = data::TokenStream::open(path);
  if (tokenizer == nullptr) return tokens;
  tokens->check_tokenizer(data::hash_bytes(tokenizer->hash()));
  return tokens;
}

std::shared_ptr<const data::Rows> masked_rows(const DataConfig& config, const Tokenizer& tokenizer,
                                              std::shared_ptr<const data::TokenStream> tokens,
                                              int64_t context, uint64_t seed) {
  data::MlmOptions options;
  options.length = context;
  options.begin = needed_special(tokenizer.roles().begin, "<s>", "begin-of-sequence");
  options.pad = needed_special(tokenizer.roles().pad, "<pad>", "padding");
  options.seed = seed;
  options.mask = {.select = config.mask_probability, .keep = config.mask_keep, .random = config.mask_random};
  options.mask.mask = needed_special(tokenizer.roles().mask, "<mask>", "mask");
  options.mask.vocabulary = int32_t(tokens->vocabulary());
  if (config.whole_words) options.mask.words = data::word_edges(tokenizer);
  for (const auto& token : tokenizer.special_tokens())
    if (int32_t(token.id) != options.mask.mask) options.mask.not_random.push_back(int32_t(token.id));
  options.mask = data::checked(options.mask);
  return data::mlm_rows(std::move(tokens), options);
}

models::ModelConfig resolve_model_config(const TrainConfig& config) {
  engine::Json section = config.model;
  if (!config.from.empty()) {  // keys that stand in the section too must agree: the trainer compares
    engine::Json source = models::to_json(config_of_model(resolve_model(config.from)));
    source.erase("tokenizer");  // a file of that directory; the run has its own
    source.update(section);
    section = std::move(source);
  }
  check(!section.empty(), "model: the config names no model (\"preset\" or sizes)");
  if (!section.contains("vocab_size") && !config.data.tokenizer.empty())
    section["vocab_size"] = data::load_tokenizer(config.data.tokenizer)->vocab_size();
  if (!section.contains("objective")) {
    const bool masked = config.data.sampler == Sampler::mlm;
    if (section.contains("preset") && section["preset"].is_string()) {
      const std::string name = section["preset"].get<std::string>();
      check(masked || models::find_size_preset(name).config.objective != models::Objective::mlm,
            "model.preset: ", name, " is a masked model, which needs data.sampler=mlm");
    }
    section["objective"] = masked ? "mlm" : "clm";
  }
  if (!section.contains("context") && !section.contains("preset") && config.data.context > 0)
    section["context"] = config.data.context;
  return models::model_config_from_section(section, "model");
}

RunData open_data(const TrainConfig& config, models::Objective objective, int64_t model_context, int64_t rank,
                  int64_t world) {
  RunData run;
  run.context = config.data.context > 0 ? config.data.context : model_context;
  check(!config.data.train.empty(), "data.train: names no token shards (make them with `normlab prepare`)");
  check(objective != models::Objective::classify, "model.objective: classify models are not pretrained");
  check((objective == models::Objective::mlm) == (config.data.sampler == Sampler::mlm),
        "data.sampler: an mlm model needs the sampler \"mlm\", a clm model \"blocks\" or \"random_crop\"");
  if (!config.data.tokenizer.empty()) run.tokenizer = data::load_tokenizer(config.data.tokenizer);
  const auto open = [&](const std::string& path) {
    auto tokens = open_tokens(path, run.tokenizer.get());
    // Without a tokenizer nothing else says that both were made with the same one.
    check(run.vocabulary == 0 || run.vocabulary == tokens->vocabulary(), path, ": a vocabulary of ",
          tokens->vocabulary(), ", data.train has ", run.vocabulary);
    run.vocabulary = tokens->vocabulary();
    return tokens;
  };
  data::BatchOptions options{
      .batch = config.data.batch,
      .rank = rank,
      .world = world,
      .seed = uint64_t(config.seed),
      .order = config.data.order == RowOrder::file ? data::Order::sequential : data::Order::shuffled};
  run.training = data::make_batches(make_rows(config, run, open(config.data.train), true), options);
  if (!config.data.valid.empty()) {
    run.validation = std::make_unique<data::ValidationBatches>(
        make_rows(config, run, open(config.data.valid), false), config.data.batch);
    if (config.data.sampler == Sampler::mlm)
      check_scored(*run.validation, config.eval.batches, config.data.valid);
  }
  return run;
}

RunData open_run_data(const TrainConfig& config, const models::ModelConfig& model, int64_t rank,
                      int64_t world) {
  RunData run = open_data(config, model.objective, model.context, rank, world);
  check(run.vocabulary <= model.vocab_size, "model.vocab_size: ", model.vocab_size,
        " is smaller than the data's vocabulary of ", run.vocabulary);
  check(model.positions != nn::Positions::learned || run.context <= model.context, "data.context: ", run.context,
        " is more than the model's ", model.context, " learned positions");
  check(model.longest_row == 0 || run.context <= model.longest_row, "data.context: ", run.context,
        " is more than the model's longest_row of ", model.longest_row);
  return run;
}

models::Tokens to_tokens(const data::Batch& batch) {
  const engine::Shape shape = {batch.rows, batch.length};
  models::Tokens tokens;
  tokens.ids = Tensor::from_ids(batch.ids, shape);
  if (!batch.attention_mask.empty()) {
    tokens.key_mask = Tensor::empty(shape, engine::DType::u8);
    std::copy(batch.attention_mask.begin(), batch.attention_mask.end(), tokens.key_mask.data<uint8_t>());
  }
  return tokens;
}

Tensor to_labels(const data::Batch& batch) {
  return Tensor::from_ids(batch.labels, {batch.rows, batch.length});
}

MicroBatch micro_batch(const models::ModelConfig& config, const data::Batch& batch, int64_t vocabulary) {
  return {models::input_rows(config, to_tokens(batch)), models::targets(config, to_labels(batch), vocabulary),
          batch.scored};
}

Evaluation evaluate(const models::Transformer& model, const data::ValidationBatches& batches, int64_t limit,
                    int64_t vocabulary, engine::Communicator& communicator) {
  const engine::TapeScope off(nullptr);
  Evaluation result;
  double sum = 0;
  struct Part {
    double nats = 0;
    int64_t scored = 0;
    engine::Communicator::Trouble trouble;
  };
  const auto compute = [&](int64_t index) -> Part {
    engine::check_stop();
    const data::Batch batch = batches.at(index);
    if (batch.scored == 0) return {};
    const engine::Tensor hidden =
        model.hidden(to_tokens(batch), model.context(), model.context().precision.compute);
    return {model.loss(hidden, to_labels(batch), {.vocabulary = vocabulary}).item(), batch.scored, {}};
  };
  const int64_t count = limit > 0 ? std::min(limit, batches.count()) : batches.count();
  const int ranks = communicator.size();
  for (int64_t first = 0; first < count; first += ranks) {
    Part mine;
    if (ranks == 1) {
      mine = compute(first);
      sum += mine.nats, result.scored += mine.scored;
      continue;
    }
    try {
      if (first + communicator.rank() < count) mine = compute(first + communicator.rank());
    } catch (...) {
      mine.trouble = engine::Communicator::current_trouble();
    }
    std::string bytes(2 * sizeof(double), '\0');
    std::memcpy(bytes.data(), &mine.nats, sizeof(double));
    std::memcpy(bytes.data() + sizeof(double), &mine.scored, sizeof(int64_t));
    bytes += char(mine.trouble.code);
    std::vector<engine::Communicator::Trouble> troubles;
    bool stopped = false;
    for (const std::string& part : communicator.gather(bytes + mine.trouble.words)) {
      double nats;
      int64_t scored;
      std::memcpy(&nats, part.data(), sizeof(double));
      std::memcpy(&scored, part.data() + sizeof(double), sizeof(int64_t));
      sum += nats, result.scored += scored;
      troubles.push_back({int(uint8_t(part[2 * sizeof(double)])), part.substr(2 * sizeof(double) + 1)});
      stopped = stopped || troubles.back().code == engine::Communicator::kStopped;
    }
    if (stopped) throw engine::Stopped{};
    communicator.end_if_any(troubles);
  }
  check(result.scored > 0, "validation: no position is scored");
  result.loss = sum / double(result.scored);
  return result;
}

}  // namespace train
