// normlab eval: what a model scores. `eval ppl` is perplexity on shards or on a text; eval_task.cc has
// the zero-shot tasks. Read first: perplexity.h, open_model.h.
#include <cmath>
#include <cstdio>

#include "data/tasks.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/base/text.h"
#include "train/commands/cli.h"
#include "train/commands/commands.h"
#include "train/commands/compute_flags.h"
#include "train/evaluation/json_numbers.h"
#include "train/evaluation/material.h"
#include "train/open_model.h"
#include "train/perplexity.h"
#include "train/run_data.h"

namespace train {
namespace {

using engine::check;
using engine::Json;

const Usage ppl_usage = {
    "normlab eval ppl",
    "perplexity a token, a word and a byte",
    {},
    {{"model", "DIR", "a run, a model directory or a Hugging Face directory", "", Arity::required},
     {"data", "PATH", "token shards made by `normlab prepare`, or text as it reads it; -: standard input", "",
      Arity::required},
     {"field", "NAME",
      "key of the text in JSON objects, column of a CSV file; given, standard input is JSONL", "text"},
     {"window", "blocked|strided", "windows side by side, or overlapping ones that advance by --stride",
      "blocked"},
     {"context", "T", "tokens in a window; 0: the model's context", "0"},
     {"stride", "N", "tokens a strided window advances by; 0: half a window", "0"},
     {"batch", "B", "windows computed together", "8"},
     {"seed", "N", "of a masked LM's masks, as `seed` in a training config", "1"},
     {"tokenizer", "DIR", "a tokenizer in place of the model's own"},
     precision_flag,
     device_flag,
     {"json", "", "one JSON object in place of a table"}},
    "A causal model scores every token but the first. Texts are read as `normlab prepare`\n"
    "reads them; each document is scored from its first token on, behind what the tokenizer\n"
    "puts before a text (<s>), else the end-of-text token, when it has one; a masked LM's\n"
    "units are lines. Words are separated by white space.\n"
    "A masked LM is scored on 15 % of the tokens, masked as in validation: a pseudo-perplexity, which is\n"
    "not to be compared with a causal model's.\n"};

LossSum masked_loss(const OpenModel& open, const Material& material, const Windows& windows, uint64_t seed) {
  const auto rows = masked_rows({}, text_tokenizer(open), material.tokens, windows.context, seed + 1);
  const Evaluation e =
      evaluate(*open.model, data::ValidationBatches(rows, windows.batch), 0, open.vocabulary);
  return {e.loss * double(e.scored), e.scored};
}

Json result_json(const LossSum& sum, const Material& material, bool causal) {
  const double loss = sum.nats / double(sum.scored);
  Json r = {{"name", causal ? "ppl" : "pseudo_ppl"},
            {"tokens", material.tokens->size()},
            {"scored", sum.scored},
            {"loss", loss},
            {"ppl", std::exp(loss)}};
  // Masks cover a part of the text: per word and byte there is no such number.
  if (causal && material.text.bytes > 0) {
    r["words"] = material.text.words;
    r["bytes"] = material.text.bytes;
    if (material.text.words > 0) r["word_ppl"] = std::exp(sum.nats / double(material.text.words));
    r["bits_per_byte"] = sum.nats / std::log(2.0) / double(material.text.bytes);
  }
  return r;
}

void print_table(const Json& out) {
  const Json& r = out["results"][0];
  const auto number = [&](const char* key) { return r[key].get<double>(); };
  const bool causal = r["name"] == "ppl";
  std::printf("%-16s %s (%s, %s tokens)\n", "data", engine::printable(out["data"].get<std::string>()).c_str(),
              out["kind"].get<std::string>().c_str(), engine::human_count(number("tokens")).c_str());
  if (causal)
    std::printf("%-16s %s, context %lld, stride %lld\n", "windows", out["window"].get<std::string>().c_str(),
                (long long)out["context"].get<int64_t>(), (long long)out["stride"].get<int64_t>());
  else
    std::printf("%-16s %lld of the tokens, seeded; the perplexity is a pseudo-perplexity\n", "masked",
                (long long)r["scored"].get<int64_t>());
  std::printf("%-16s %.4f nats a token (unigram entropy %.4f)\n", "loss", number("loss"),
              number("unigram_entropy"));
  std::printf("%-16s %.3f a token\n", "perplexity", number("ppl"));
  if (r.contains("word_ppl")) std::printf("%-16s %.3f a word\n", "", number("word_ppl"));
  if (r.contains("bits_per_byte")) std::printf("%-16s %.4f bits a byte\n", "", number("bits_per_byte"));
}

int eval_ppl(int argc, char** argv) {
  const Arguments args(ppl_usage, argc, argv);
  const OpenModel open = open_model(args.text("model"), precision_of(args), args.text("tokenizer"));
  const models::ModelConfig& config = open.model->config();
  check(config.objective != models::Objective::classify, "the model classifies rows");
  const bool causal = config.causal(), strided = args.text("window") == "strided";
  check(causal || !strided, "a masked LM has no strided windows");
  Windows windows{.batch = args.integer("batch", 1, 1 << 20)};
  windows.context = args.integer("context", 0, int64_t(1) << 31);
  if (windows.context == 0) windows.context = config.context;
  check(config.positions != nn::Positions::learned || windows.context <= config.context, "context ",
        windows.context, " is more than the model's ", config.context, " learned positions");
  const int64_t stride = args.integer("stride", 0, int64_t(1) << 31);
  check(strided || stride == 0 || stride == windows.context, "--stride needs --window strided");
  windows.stride = !strided     ? windows.context
                   : stride > 0 ? stride
                                : std::max<int64_t>(1, windows.context / 2);

  const std::string path = args.text("data");
  const Material material = open_material(path, open, {args.text("field"), args.given("field")});
  check(material.tokens->vocabulary() <= config.vocab_size, path, ": a vocabulary of ",
        material.tokens->vocabulary(), ", the model's is ", config.vocab_size);
  const LossSum sum =
      causal ? causal_loss(*open.model, *material.tokens, windows, open.vocabulary)
             : masked_loss(open, material, windows, uint64_t(args.integer("seed", 0, 1LL << 53)));
  check(sum.scored > 0, path, ": nothing to score");
  check(std::isfinite(sum.nats), path, ": the loss is not finite in precision ", args.text("precision"));
  Json result = result_json(sum, material, causal);
  result["unigram_entropy"] = unigram_entropy(*material.tokens, open.tokenizer.get());
  Json out = result_of("eval ppl");
  out.update({{"model", open.folder},
              {"data", path},
              {"kind", material.kind},
              {"objective", models::objective_names[size_t(config.objective)]},
              {"precision", args.text("precision")},
              {"context", windows.context}});
  if (causal) out["window"] = args.text("window"), out["stride"] = windows.stride;
  out["results"] = Json::array({result});
  if (args.on("json"))
    std::printf("%s\n", engine::json_text(out, 1).c_str());
  else
    print_table(out);
  return 0;
}

}  // namespace

int cmd_eval(int argc, char** argv) {
  std::vector<Command> commands = {{"ppl", "perplexity a token, a word and a byte", eval_ppl}};
  for (const data::ChoiceTask& task : data::choice_tasks())
    commands.push_back({task.name, "choosing among continuations, zero-shot", eval_task});
  commands.push_back({"lambada", "guessing the last word of a passage, zero-shot", eval_task});
  return run_commands({"normlab eval", "scores a model", commands, ""}, argc, argv);
}

}  // namespace train
