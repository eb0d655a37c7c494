// Read first: perplexity_report.h.
#include "train/evaluation/perplexity_report.h"

#include <cmath>
#include <cstdio>

#include "engine/base/text.h"
#include "train/evaluation/count_progress.h"
#include "train/evaluation/json_numbers.h"
#include "train/evaluation/material.h"
#include "train/perplexity.h"
#include "train/run_data.h"

namespace train {
namespace {

using engine::check;
using engine::Json;

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

/// "label           text".
template <class... Args>
void add_line(std::string& out, const char* label, const char* format, Args... args) {
  char line[512];
  std::snprintf(line, sizeof line, format, args...);
  out += std::string(label) + std::string(17 - std::min<size_t>(16, std::string(label).size()), ' ') + line + "\n";
}

}  // namespace

Json perplexity_report(const OpenModel& open, const PerplexityRequest& request) {
  const models::ModelConfig& config = open.model->config();
  check(config.objective != models::Objective::classify, "the model classifies rows");
  const bool causal = config.causal();
  check(causal || !request.strided, "a masked LM has no strided windows");
  Windows windows{.context = request.context, .batch = request.batch};
  if (windows.context == 0) windows.context = config.context;
  check(config.positions != nn::Positions::learned || windows.context <= config.context, "context ",
        windows.context, " is more than the model's ", config.context, " learned positions");
  check(request.strided || request.stride == 0 || request.stride == windows.context,
        "--stride needs --window strided");
  windows.stride = !request.strided     ? windows.context
                   : request.stride > 0 ? request.stride
                                        : std::max<int64_t>(1, windows.context / 2);

  const Material material = open_material(request.data, open, request.read);
  check(material.tokens->vocabulary() <= config.vocab_size, request.data, ": a vocabulary of ",
        material.tokens->vocabulary(), ", the model's is ", config.vocab_size);
  const int64_t size = material.tokens->size();
  CountProgress progress("eval ppl", "tokens", size);
  const auto report = [&](int64_t scored) { progress.update(scored, double(scored) / double(size)); };
  const LossSum sum = causal ? causal_loss(*open.model, *material.tokens, windows, open.vocabulary, report)
                             : masked_loss(open, material, windows, request.seed);
  check(sum.scored > 0, request.data, ": nothing to score");
  check(std::isfinite(sum.nats), request.data, ": the loss is not finite in precision ", request.precision);
  Json result = result_json(sum, material, causal);
  result["unigram_entropy"] = unigram_entropy(*material.tokens, open.tokenizer.get());
  Json out = result_of("eval ppl");
  out.update({{"model", open.folder},
              {"data", request.data},
              {"kind", material.kind},
              {"objective", models::objective_names[size_t(config.objective)]},
              {"precision", request.precision},
              {"context", windows.context}});
  if (causal) out["window"] = request.strided ? "strided" : "blocked", out["stride"] = windows.stride;
  out["results"] = Json::array({result});
  return out;
}

std::string perplexity_table(const Json& report) {
  const Json& r = report["results"][0];
  const auto number = [&](const char* key) { return r[key].get<double>(); };
  std::string out;
  add_line(out, "data", "%s (%s, %s tokens)", engine::printable(report["data"].get<std::string>()).substr(0, 300).c_str(),
           report["kind"].get<std::string>().c_str(), engine::human_count(number("tokens")).c_str());
  if (r["name"] == "ppl")
    add_line(out, "windows", "%s, context %lld, stride %lld", report["window"].get<std::string>().c_str(),
             (long long)report["context"].get<int64_t>(), (long long)report["stride"].get<int64_t>());
  else
    add_line(out, "masked", "%lld of the tokens, seeded; the perplexity is a pseudo-perplexity",
             (long long)r["scored"].get<int64_t>());
  add_line(out, "loss", "%.4f nats a token (unigram entropy %.4f)", number("loss"), number("unigram_entropy"));
  add_line(out, "perplexity", "%.3f a token", number("ppl"));
  if (r.contains("word_ppl")) add_line(out, "", "%.3f a word", number("word_ppl"));
  if (r.contains("bits_per_byte")) add_line(out, "", "%.4f bits a byte", number("bits_per_byte"));
  return out;
}

}  // namespace train
