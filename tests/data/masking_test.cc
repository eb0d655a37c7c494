// Masked-LM rows: packing, and masking statistics against those recorded from fairseq.
#include "data/masking.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "data/bpe_files.h"
#include "data/mlm_rows.h"
#include "data/train_tokenizer.h"
#include "data/whole_words.h"
#include "engine/base/json.h"
#include "shared_data.h"

using namespace data;
using Catch::Matchers::Contains;

namespace {

MaskRule fairseq_rule(int32_t vocabulary) {
  return checked({.mask = vocabulary - 1, .vocabulary = vocabulary, .not_random = {3, 1, 2, 0}});
}

/// <s> tokens </s>, as in the recorded runs.
std::vector<int32_t> item(int length, int which, int32_t vocabulary) {
  std::vector<int32_t> ids(static_cast<size_t>(length));
  for (int i = 0; i < length; ++i) ids[size_t(i)] = 4 + (i * 7919 + which * 104729) % (vocabulary - 5);
  ids.front() = 0, ids.back() = 2;
  return ids;
}

}  // namespace

TEST_CASE("masking has the statistics recorded from fairseq", "[medium]") {
  const std::string path = shared_path("reference/fairseq_traces.json");
  if (path.empty()) return;
  const engine::Json recorded = engine::read_json(path);
  REQUIRE(recorded["masking"]["traces"].size() >= 4);
  for (const auto& trace : recorded["masking"]["traces"]) {
    const auto& s = trace["settings"];
    MaskRule rule{
        .select = s["mask_prob"], .keep = s["leave_unmasked_prob"], .random = s["random_token_prob"]};
    rule.vocabulary = s["vocabulary"], rule.mask = s["mask_id"], rule.not_random = {0, 1, 2, 3};
    rule = checked(rule);
    const int length = s["length"], items = s["items"], epochs = s["epochs"];
    CAPTURE(length, rule.select, rule.keep, rule.random);

    int64_t positions = 0, selected = 0, masked = 0, kept = 0, random = 0, first_selected = 0,
            last_selected = 0;
    int64_t changed_outside = 0, wrong_labels = 0, special_replacements = 0;
    std::map<std::string, int64_t> histogram;
    for (int epoch = 0; epoch < epochs; ++epoch) {
      for (int which = 0; which < items; ++which) {
        const std::vector<int32_t> original = item(length, which, rule.vocabulary);
        std::vector<int32_t> ids = original, labels(ids.size());
        mask_tokens(rule, 17, epoch, which, ids, labels);
        int64_t here = 0;
        for (size_t i = 0; i < ids.size(); ++i) {
          if (labels[i] == kNotScored) {
            changed_outside += ids[i] != original[i];
            continue;
          }
          wrong_labels += labels[i] != original[i];
          ++here;
          masked += ids[i] == rule.mask, kept += ids[i] == original[i];
          if (ids[i] != rule.mask && ids[i] != original[i]) {
            ++random;
            special_replacements += ids[i] < 4;
          }
        }
        positions += length, selected += here, ++histogram[std::to_string(here)];
        first_selected += labels.front() != kNotScored, last_selected += labels.back() != kNotScored;
      }
    }
    CHECK(changed_outside == 0);
    CHECK(wrong_labels == 0);
    CHECK(special_replacements == 0);
    // Both sides are samples: five standard errors of their difference.
    const double n = double(selected), rows = double(items * epochs);
    const auto near = [&](double got, const engine::Json& theirs, double samples) {
      const double p = theirs;
      CHECK(std::fabs(got - p) <= 5 * std::sqrt(2 * p * (1 - p) / samples) + 1e-12);
    };
    near(double(masked) / n, trace["of_selected"]["masked"], n);
    near(double(kept) / n, trace["of_selected"]["kept"], n);
    near(double(random) / n, trace["of_selected"]["random"], n);
    if (length > 1) near(double(first_selected) / rows, trace["bos_selected_fraction"], rows);
    if (length > 1) near(double(last_selected) / rows, trace["eos_selected_fraction"], rows);
    CHECK(double(selected) / double(positions) == Approx(double(trace["fraction_selected"])).epsilon(0.02));
    const auto& theirs = trace["selected_per_item_histogram"];
    for (const auto& [count, times] : histogram) {
      CAPTURE(count, times);
      REQUIRE(theirs.contains(count));
      near(double(times) / rows, double(theirs[count]) / rows, rows);
    }
  }
}

TEST_CASE("random replacements are uniform over ids that are not special, the mask id included") {
  MaskRule rule =
      checked({.select = 1, .keep = 0, .random = 1, .mask = 9, .vocabulary = 10, .not_random = {0, 1, 7}});
  std::vector<int32_t> ids(14000, 5), labels(ids.size());
  mask_tokens(rule, 1, 0, 0, ids, labels);
  std::map<int32_t, int> count;
  for (int32_t id : ids) ++count[id];
  CHECK(count.size() == 7);
  for (int32_t id : {2, 3, 4, 5, 6, 8, 9}) CHECK(std::abs(count[id] - 2000) < 220);
}

TEST_CASE("a mask is a pure function of seed, epoch and index") {
  const MaskRule rule = fairseq_rule(1000);
  std::set<std::vector<int32_t>> masks;
  for (uint64_t seed : {1, 2})
    for (int64_t epoch : {0, 1, 2})
      for (int64_t index : {0, 1, 50}) {
        std::vector<int32_t> a = item(64, 0, 1000), b = a, la(64), lb(64);
        mask_tokens(rule, seed, epoch, index, a, la);
        mask_tokens(rule, seed, epoch, index, b, lb);
        CHECK((a == b && la == lb));
        masks.insert(la);
      }
  CHECK(masks.size() == 18);
}

TEST_CASE("whole words share one fate") {
  MaskRule rule{.select = 0.3, .random = 0, .mask = 99, .vocabulary = 100};
  rule.words.assign(100, WordEdge::inside);
  for (size_t id = 0; id < 100; id += 3) rule.words[id] = WordEdge::before;  // 0, 3, 6, ... begin words
  rule = checked(rule);
  std::vector<int32_t> original;
  for (int word = 0; word < 200; ++word)
    for (int part = 0; part <= word % 3; ++part) original.push_back(3 * (word % 32) + part);
  int64_t selected_words = 0;
  for (int epoch = 0; epoch < 50; ++epoch) {
    std::vector<int32_t> ids = original, labels(ids.size());
    mask_tokens(rule, 3, epoch, 0, ids, labels);
    for (size_t i = 0; i < ids.size(); ++i) {
      const bool begins = original[i] % 3 == 0;
      selected_words += begins && labels[i] != kNotScored;
      if (i == 0 || begins) continue;
      CHECK((labels[i] == kNotScored) == (labels[i - 1] == kNotScored));
      if (labels[i] != kNotScored) CHECK((ids[i] == 99) == (ids[i - 1] == 99));
    }
  }
  CHECK(selected_words == 50 * 60);
}

TEST_CASE("words are what white space and special tokens bound") {
  const std::string_view text = "say say";
  const auto tokenizer =
      train_tokenizer({&text, 1}, {.kind = TokenizerKind::byte, .special = {"</s>", "<mask>"}});
  MaskRule rule{.select = 1, .keep = 0.5, .random = 0, .mask = 257, .vocabulary = 258};
  rule.words = word_edges(*tokenizer);
  rule = checked(rule);
  CHECK(rule.words['a'] == WordEdge::inside);
  CHECK(rule.words[' '] == WordEdge::both);
  CHECK(rule.words[256] == WordEdge::both);
  // Every word is selected, and each is wholly kept or wholly masked: "it's", " ", "on,", "\n", "Sir",
  // "</s>", "no".
  const std::vector<TokenId> encoded = tokenizer->encode("it's on,\nSir</s>no", SpecialText::recognised);
  const std::vector<size_t> words = {4, 1, 3, 1, 3, 1, 2};
  std::set<std::vector<bool>> fates;
  for (int epoch = 0; epoch < 200; ++epoch) {
    std::vector<int32_t> ids(encoded.begin(), encoded.end()), labels(ids.size());
    mask_tokens(rule, 1, epoch, 0, ids, labels);
    std::vector<bool> fate;
    size_t at = 0;
    for (const size_t length : words) {
      fate.push_back(ids[at] == 257);
      for (size_t i = at; i < at + length; ++i) CHECK((ids[i] == 257) == fate.back());
      at += length;
    }
    REQUIRE(at == ids.size());
    fates.insert(fate);
  }
  CHECK(fates.size() > 80);  // of 2^7: no two words are tied to each other

  const auto by_words = train_tokenizer({&text, 1}, {.kind = TokenizerKind::word});
  CHECK(word_edges(*by_words) == std::vector<WordEdge>(by_words->vocab_size(), WordEdge::both));
}

TEST_CASE("GPT-2's tokens that begin with a space begin words") {
  const std::string folder = shared_path("data/gpt2-bpe");
  if (folder.empty()) return;
  const auto tokenizer =
      make_bpe_tokenizer(bpe_from_gpt2_files(folder + "/encoder.json", folder + "/vocab.bpe"), "gpt2");
  const std::vector<WordEdge> edges = word_edges(*tokenizer);
  const auto edge = [&](const std::string& text) { return edges[tokenizer->encode(text).at(0)]; };
  CHECK(edge(" the") == WordEdge::before);
  CHECK(edge("the") == WordEdge::inside);
  CHECK(edge("\n") == WordEdge::both);
  CHECK(edge(",") == WordEdge::inside);
  CHECK(edges[50256] == WordEdge::both);
}

TEST_CASE("rows hold whole units, cut only units that are longer than a row") {
  // Units of 3, 4, 2, 20 and 1 tokens in rows of 8: <s> and at most 7.
  std::vector<int32_t> ids(30);
  std::iota(ids.begin(), ids.end(), 10);
  auto tokens = TokenStream::of(ids, 64, 2, {3, 4, 2, 20, 1});
  MlmOptions options{.length = 8, .begin = 0, .pad = 1, .mask = {.select = 1e-9, .mask = 63}};
  auto rows = mlm_rows(tokens, options);
  const Batch b = ValidationBatches(rows, 100).at(0);
  const std::vector<std::vector<int32_t>> expected{{0, 10, 11, 12, 13, 14, 15, 16},
                                                   {0, 17, 18, 1, 1, 1, 1, 1},
                                                   {0, 19, 20, 21, 22, 23, 24, 25},
                                                   {0, 26, 27, 28, 29, 30, 31, 32},
                                                   {0, 33, 34, 35, 36, 37, 38, 39}};
  REQUIRE(b.rows == 5);
  for (size_t r = 0; r < 5; ++r) {
    CHECK(std::vector<int32_t>(b.ids.begin() + long(r * 8), b.ids.begin() + long(r * 8 + 8)) == expected[r]);
    for (size_t i = 0; i < 8; ++i) CHECK(b.attention_mask[r * 8 + i] == (expected[r][i] != 1));
  }
}

TEST_CASE("padding is never selected, the draw serves inputs and labels alike") {
  std::vector<int32_t> ids(1000, 20);
  auto tokens = TokenStream::of(ids, 64, 2, std::vector<uint32_t>(100, 10));
  auto rows =
      mlm_rows(tokens, {.length = 16, .begin = 0, .pad = 1, .mask = {.select = 0.9, .mask = 63}, .seed = 5});
  auto source = make_batches(rows, {.batch = 200, .seed = 5});
  const Batch b = source->next();
  int64_t scored = 0;
  for (size_t i = 0; i < b.ids.size(); ++i) {
    if (b.attention_mask[i] == 0) {
      CHECK((b.labels[i] == kNotScored && b.ids[i] == 1));
    } else {
      scored += b.labels[i] != kNotScored;
    }
  }
  CHECK(scored == b.scored);
}

TEST_CASE("a masking rule that cannot be is refused") {
  CHECK_THROWS_WITH(checked({.select = 0, .mask = 1, .vocabulary = 4}), Contains("select"));
  CHECK_THROWS_WITH(checked({.keep = 0.6, .random = 0.6, .mask = 1, .vocabulary = 4}), Contains("add up"));
  CHECK_THROWS_WITH(checked({.mask = 4, .vocabulary = 4}), Contains("mask id 4"));
  CHECK_THROWS_WITH(checked({.mask = 1, .vocabulary = 4, .not_random = {9}}), Contains("special ids"));
  CHECK_THROWS_WITH(checked({.mask = 1, .vocabulary = 2, .not_random = {0, 1}}), Contains("every id"));
  CHECK_THROWS_WITH(checked({.mask = 1, .vocabulary = 3, .words = {WordEdge::both}}), Contains("1 entries"));
  auto tokens = TokenStream::of({1, 2, 3}, 8, 0);
  CHECK_THROWS_WITH(mlm_rows(TokenStream::of({5}, 8, 0), {.mask = {.mask = 7}}),
                    Contains("too short (tokens: 1)"));
  CHECK_THROWS_WITH(mlm_rows(tokens, {.length = 1, .mask = {.mask = 7}}), Contains("length 1"));
  CHECK_THROWS_WITH(mlm_rows(tokens, {.begin = 8, .mask = {.mask = 7}}), Contains("special id 8"));
}
