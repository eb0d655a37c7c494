// eval ppl: windows against a definition written token by token, and figures that can be worked out by hand.
#include "train/perplexity.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "data/byte_tokenizer.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "models/init.h"
#include "models/model_files.h"
#include "temporary_folder.h"

using namespace train;
using engine::Json;
using engine::Tensor;
using models::Transformer;

namespace {

constexpr int kVocabulary = 19, kContext = 8;

/// A model far from its initial state, so that what a token sees changes its loss.
std::unique_ptr<Transformer> model_of(const Json& overrides) {
  Json section = {{"objective", "clm"},   {"vocab_size", kVocabulary},
                  {"context", kContext},  {"layers", 2},
                  {"width", 16},          {"heads", 2},
                  {"ffn_width", 32},      {"norms", "pre_ln"},
                  {"activation", "gelu"}, {"positions", "rope"}};
  section.update(overrides);
  auto model = std::make_unique<Transformer>(models::model_config_from_section(section, "test"),
                                             nn::Precision::of(engine::DType::f64), nn::Gradients::none);
  models::initialise(*model, "", 3);
  engine::Rng rng{3, 1000};
  const Tensor& values = model->parameters().values();
  for (int64_t i = 0; i < values.numel(); ++i) values.data<double>()[i] += 0.2 * rng.normal();
  model->parameters().refresh_copies();
  return model;
}

/// -log p of ids[at], read from the logits of the row ids[from] .. ids[at - 1].
double nats(const Transformer& model, const std::vector<int32_t>& ids, int64_t from, int64_t at) {
  const std::vector<int32_t> row(ids.begin() + from, ids.begin() + at);
  const models::Tokens tokens{.ids = Tensor::from_ids(row, {1, at - from})};
  const std::vector<double> all = model.logits(model.hidden(tokens, model.context())).to_vector();
  double sum = 0;
  const double* logits = all.data() + all.size() - size_t(kVocabulary);
  for (int i = 0; i < kVocabulary; ++i) sum += std::exp(logits[i]);
  return std::log(sum) - logits[ids[size_t(at)]];
}

/// Where the window begins that scores token `at`: the first one scores tokens 1 to context; each later one
/// the next `stride` tokens, reaching back as far as the context goes, or, side by side, to its own first.
int64_t window_start(int64_t at, int64_t stride, int64_t tokens) {
  if (stride == kContext) return (at - 1) / kContext * kContext;
  if (at <= kContext) return 0;
  const int64_t end = std::min(tokens, 1 + kContext + ((at - 1 - kContext) / stride + 1) * stride);
  return end - 1 - kContext;
}

}  // namespace

TEST_CASE("every token is scored once, from what its window shows") {
  const auto model = model_of(Json::object());
  engine::Rng rng{5, 0};
  for (const int64_t tokens : {2, 8, 9, 10, 23, 25}) {
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < tokens; ++i) ids.push_back(int32_t(rng.below(kVocabulary)));
    const auto stream = data::TokenStream::of(ids, kVocabulary, 0);
    for (const int64_t stride : {8, 5, 4, 1})
      for (const int64_t batch : {1, 3}) {
        INFO(tokens << " tokens, stride " << stride << ", " << batch << " windows together");
        double expected = 0;
        for (int64_t at = 1; at < tokens; ++at)
          expected += nats(*model, ids, window_start(at, stride, tokens), at);
        const LossSum sum = causal_loss(*model, *stream, {kContext, stride, batch}, kVocabulary);
        CHECK(sum.scored == tokens - 1);
        CHECK(sum.nats == Approx(expected).epsilon(1e-12));
      }
  }
}

TEST_CASE("a short last window keeps the angles of its own length, whatever the batch") {
  const auto model = model_of({{"positions", "rope"},
                               {"rope_scaling",
                                {{"kind", "longrope"},
                                 {"original_context", kContext - 2},
                                 {"factor", 2},
                                 {"short_factor", {1.0, 1.2, 1.4, 1.6}},
                                 {"long_factor", {1.5, 3.0, 6.0, 9.0}}}}});
  engine::Rng rng{5, 0};
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < 3 * kContext + 5; ++i) ids.push_back(int32_t(rng.below(kVocabulary)));
  const auto stream = data::TokenStream::of(ids, kVocabulary, 0);
  const auto nats_at = [&](int64_t batch) {
    return causal_loss(*model, *stream, {kContext, kContext, batch}, kVocabulary).nats;
  };
  CHECK(nats_at(8) == Approx(nats_at(1)).epsilon(1e-12));
}

TEST_CASE("words, bytes and the entropy of single tokens, by hand") {
  CHECK(text_size("").words == 0);
  CHECK(text_size("  a bb\tc\n").words == 3);
  CHECK(text_size("  a bb\tc\n").bytes == 9);
  CHECK(text_size("grün").bytes == 5);
  // Half of the tokens are 0, a quarter 1, a quarter 2: 1.5 bits.
  const auto stream = data::TokenStream::of({0, 1, 0, 2}, 5, 0);
  CHECK(unigram_entropy(*stream, nullptr) == Approx(1.5 * std::log(2)));
  // The special token 256 is no part of the text: "ab c", "d" are left.
  const data::ByteTokenizer bytes(std::vector<data::AddedToken>{{.text = "</s>", .id = 256}});
  const auto text = data::TokenStream::of({'a', 'b', ' ', 'c', 256, ' ', 'd'}, 257, 256);
  CHECK(text_size(*text, bytes).words == 3);
  CHECK(text_size(*text, bytes).bytes == 6);
  CHECK(unigram_entropy(*text, &bytes) == Approx(std::log(6) - 2.0 / 6 * std::log(2)));
}

TEST_CASE("eval ppl: a model that knows nothing takes eight bits a byte") {
  TemporaryFolder folder;
  // Every weight is zero: each of the 256 tokens is as likely as any other.
  const Transformer model(models::model_config_from_section({{"objective", "clm"},
                                                             {"vocab_size", 256},
                                                             {"context", 4},
                                                             {"layers", 1},
                                                             {"width", 8},
                                                             {"heads", 1},
                                                             {"ffn_width", 8},
                                                             {"norms", "pre_ln"},
                                                             {"activation", "gelu"},
                                                             {"positions", "learned"}},
                                                            "test"),
                          nn::Precision::of(engine::DType::f32), nn::Gradients::none);
  models::save_model(model, folder / "model");
  engine::write_file(folder / "model/tokenizer.json", data::ByteTokenizer(std::vector<data::AddedToken>{}).to_json());
  engine::write_file(folder / "text.txt", "ab cde\n");
  for (const char* window : {"blocked", "strided"}) {
    const std::string out = folder / "out.json",
                      command = std::string(BINARY_DIR "/normlab eval ppl --json --model ") +
                                (folder / "model") + " --tokenizer " + (folder / "model") + " --data " +
                                (folder / "text.txt") + " --threads 1 --window " + window + " > " + out;
    REQUIRE(std::system(command.c_str()) == 0);
    const Json report = engine::read_json(out), r = report["results"][0];
    CHECK(report["seconds"].get<double>() > 0);
    for (const char* key : {"command", "version", "model", "data", "precision"})
      CHECK(report[key].is_string());
    CHECK(r["tokens"] == 7);
    CHECK(r["scored"] == 6);  // nothing stands before the first
    CHECK(r["loss"].get<double>() == Approx(std::log(256)));
    CHECK(r["ppl"].get<double>() == Approx(256));
    CHECK(r["words"] == 2);
    CHECK(r["bytes"] == 7);
    CHECK(r["word_ppl"].get<double>() == Approx(std::pow(256, 6.0 / 2)));
    CHECK(r["bits_per_byte"].get<double>() == Approx(8 * 6.0 / 7));
    // a, b, space, c, d, e, end of line: seven kinds.
    CHECK(r["unigram_entropy"].get<double>() == Approx(std::log(7)));
  }
}
