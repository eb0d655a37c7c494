// Byte-level BPE: published GPT-2 vectors, whole files against tiktoken, round trips, threads, and the two
// merge loops.
#include "data/bpe.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "data/bpe_files.h"
#include "data/utf8.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/base/philox.h"
#include "engine/base/sha256.h"
#include "shared_data.h"

using namespace data;
using Ids = std::vector<TokenId>;

namespace {

/// Null when the published files are not there.
std::unique_ptr<Tokenizer> gpt2() {
  const std::string folder = shared_path("data/gpt2-bpe");
  if (folder.empty()) return nullptr;
  return make_bpe_tokenizer(bpe_from_gpt2_files(folder + "/encoder.json", folder + "/vocab.bpe"), "gpt2");
}

std::string random_bytes(engine::Rng& rng, size_t length) {
  std::string text;
  const std::string usual = " \n'aeinorst,.";
  for (size_t i = 0; i < length; ++i) {
    text += rng.below(3) == 0 ? char(rng.below(256)) : usual[rng.below(usual.size())];
  }
  return text;
}

std::string hash_of(const Ids& ids) {
  return engine::sha256_hex({reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(TokenId)});
}

}  // namespace

TEST_CASE("GPT-2's tokens agree with the published vectors") {
  const auto tokenizer = gpt2();
  if (!tokenizer) return;
  int compared = 0;
  for (const char* name : {"vectors_gpt2.jsonl", "vectors_llamacpp.jsonl"}) {
    const std::string text = engine::read_file(shared_path("data/gpt2-bpe") + "/" + name);
    for (size_t from = 0; from < text.size();) {
      const size_t end = std::min(text.find('\n', from), text.size());
      const engine::Json line = engine::parse_json(text.substr(from, end - from), name);
      const std::string input = line["text"];
      INFO(name << ": " << input);
      CHECK(tokenizer->encode(input) == line["ids"].get<Ids>());
      CHECK(tokenizer->decode(line["ids"].get<Ids>()) == input);
      ++compared;
      from = end + 1;
    }
  }
  CHECK(compared == 134);
}

TEST_CASE("GPT-2's tokens of whole files agree with tiktoken", "[medium]") {
  const auto tokenizer = gpt2();
  if (!tokenizer) return;
  const engine::Json goldens = engine::read_json(SOURCE_DIR "/tests/goldens/tokenizer.json");
  for (const auto& [name, expected] : goldens["encoded"].items()) {
    const std::string text = engine::read_file(shared_path(name));
    for (const int threads : {1, 2, 3, 8}) {
      const Ids ids = tokenizer->encode(text, SpecialText::ordinary, threads);
      INFO(name << ", " << threads << " threads");
      CHECK(ids.size() == expected["tokens"]);
      CHECK(hash_of(ids) == expected["sha256"]);
      CHECK(tokenizer->decode(ids) == text);
    }
  }
}

TEST_CASE("GPT-2's tokens of every code point agree with tiktoken", "[medium]") {
  const auto tokenizer = gpt2();
  if (!tokenizer) return;
  std::string text;
  for (uint32_t code = 0; code < 0x110000; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    std::string c;
    append_utf8(c, code);
    // Letters and numbers end before 've, other characters take the apostrophe along.
    text += (text.empty() ? "x " : "\nx ") + c + c + "'ve the" + c + " 7";
  }
  const engine::Json expected = engine::read_json(SOURCE_DIR "/tests/goldens/tokenizer.json")["code_points"];
  const Ids ids = tokenizer->encode(text);
  CHECK(ids.size() == expected["tokens"]);
  CHECK(hash_of(ids) == expected["sha256"]);
  CHECK(tokenizer->decode(ids) == text);
}

TEST_CASE("any bytes come back from GPT-2's tokens") {
  const auto tokenizer = gpt2();
  if (!tokenizer) return;
  engine::Rng rng{5};
  for (int i = 0; i < 500; ++i) {
    const std::string text = random_bytes(rng, rng.below(200));
    CHECK(tokenizer->decode(tokenizer->encode(text)) == text);
  }
  // An invalid byte is a character of its own, so its neighbours are what they would be without it.
  CHECK(tokenizer->encode("Hello\xFF world") == Ids{15496, 187, 995});
  CHECK(tokenizer->encode(std::string("\x00\xFF", 2)) == Ids{188, 187});
}

TEST_CASE("threads and long pieces do not change GPT-2's tokens") {
  const auto tokenizer = gpt2();
  if (!tokenizer) return;
  engine::Rng rng{6};
  std::string text = random_bytes(rng, 1'500'000);
  text += std::string(100'000, 'a') + std::string(100'000, ' ') + "x" + std::string(300'000, '=');
  const Ids one = tokenizer->encode(text);
  for (const int threads : {2, 3, 8}) CHECK(tokenizer->encode(text, SpecialText::ordinary, threads) == one);
  CHECK(tokenizer->decode(one) == text);
}

TEST_CASE("both merge loops give the same tokens for any list of merges") {
  engine::Rng rng{7};
  for (int round = 0; round < 300; ++round) {
    std::vector<std::string> tokens = {"a", "b", "c"};
    std::vector<BpeMerge> list;
    for (int i = 0; i < 20; ++i) {
      const TokenId left = TokenId(rng.below(tokens.size())), right = TokenId(rng.below(tokens.size()));
      const auto same = [&](const BpeMerge& m) { return m.left == left && m.right == right; };
      if (std::any_of(list.begin(), list.end(), same)) continue;
      list.push_back({left, right, TokenId(tokens.size())});
      tokens.push_back(tokens[left] + tokens[right]);
    }
    // Ranks that no training would give: a token may be merged before it can be made.
    for (size_t i = list.size(); i > 1; --i) std::swap(list[i - 1], list[rng.below(i)]);
    const MergeTable merges(list);
    for (int i = 0; i < 20; ++i) {
      Ids ids(rng.below(60));
      for (TokenId& id : ids) id = TokenId(rng.below(3));
      Ids scanned = ids, queued = ids;
      apply_merges_short(merges, scanned);
      apply_merges_long(merges, queued);
      CHECK(scanned == queued);
    }
  }
}

TEST_CASE("special tokens are found only on request, leftmost and longest first") {
  BpeModel model;
  for (int byte = 0; byte < 256; ++byte) model.tokens.emplace_back(1, char(byte));
  model.tokens.insert(model.tokens.end(), {"<m>", "<m><m>", "<p>"});
  model.special = {{"<m>", 256, true}, {"<m><m>", 257}, {"<p>", 258, false, true}};
  const auto tokenizer = make_bpe_tokenizer(model, "test");
  CHECK(tokenizer->encode("<m>") == Ids{'<', 'm', '>'});
  const auto encode = [&](std::string_view text) { return tokenizer->encode(text, SpecialText::recognised); };
  CHECK(encode("a<m><m><m>b") == Ids{'a', 257, 256, 'b'});
  CHECK(encode("a \n<m> b<p>  c") == Ids{'a', 256, ' ', 'b', 258, 'c'});  // <m> strips left, <p> right
  CHECK(encode("<m") == Ids{'<', 'm'});
  CHECK(tokenizer->decode(Ids{'a', 257, 258}) == "a<m><m><p>");
  CHECK(tokenizer->special_id("<p>") == 258);
  CHECK(tokenizer->special_id("<q>") == no_token);
}

TEST_CASE("bytes without a token are an error, not a loss") {
  BpeModel model;
  model.tokens = {"a", "b", "ab"};
  model.merges = {{0, 1, 2}};
  const auto tokenizer = make_bpe_tokenizer(model, "test");
  CHECK(tokenizer->encode("abba") == Ids{2, 1, 0});
  CHECK_THROWS_WITH(tokenizer->encode("abc"), "encode: byte 99 has no token in this vocabulary");
  CHECK_THROWS_WITH(tokenizer->decode(Ids{0, 3}),
                    "decode: token 3 at index 1 is outside the vocabulary of 3");
}

TEST_CASE("a long piece falls apart where no merge reaches across, with the same tokens") {
  engine::Rng rng{17};
  for (int round = 0; round < 200; ++round) {
    std::vector<BpeMerge> list;
    TokenId next = 4;
    for (int i = 0; i < 12; ++i)
      list.push_back({TokenId(rng.below(next)), TokenId(rng.below(next)), next}), ++next;
    for (size_t i = list.size(); i > 1; --i) std::swap(list[i - 1], list[rng.below(i)]);
    const MergeTable merges(list);
    const MergeBorders borders(list, [](TokenId id) { return id < 4; });
    Ids ids(200);
    for (TokenId& id : ids) id = TokenId(rng.below(4));
    Ids whole = ids;
    apply_merges_long(merges, whole);
    apply_merges(merges, borders, ids);
    CHECK(ids == whole);
  }
}

TEST_CASE("of a pair that is listed twice the later place counts") {
  // "bc" is merged before "ab", because the first place of "a b" is forgotten.
  const MergeTable merges(std::vector<BpeMerge>{{0, 1, 3}, {1, 2, 4}, {0, 1, 3}});
  Ids ids = {0, 1, 2};
  apply_merges_short(merges, ids);
  CHECK(ids == Ids{0, 4});
}
