// The data section of a config, as far as it reaches the batches.
#include "data/shards.h"
#include "data/train_tokenizer.h"
#include "temporary_folder.h"
#include "train/run_data.h"

#include <catch2/catch.hpp>

using namespace train;
using Catch::Matchers::Contains;

namespace {

std::unique_ptr<data::Tokenizer> byte_tokenizer() {
  return data::train_tokenizer(
      {}, {.kind = data::TokenizerKind::byte, .special = {"<s>", "<pad>", "</s>", "<mask>"}});
}

/// How many of the words, all of them "word ", are masked in part over 40 epochs of one row.
int words_cut(const std::string& config_text) {
  const TrainConfig config = parse_config(engine::parse_json(config_text, "config"), "config");
  const auto tokenizer = byte_tokenizer();
  std::vector<int32_t> ids;
  for (int i = 0; i < 50; ++i)
    for (const char c : std::string(" word")) ids.push_back(uint8_t(c));
  const auto tokens = data::TokenStream::of(ids, int64_t(tokenizer->vocab_size()), 258);
  const auto rows = masked_rows(config.data, *tokenizer, tokens, 256, 1);
  int cut = 0;
  for (int64_t epoch = 0; epoch < 40; ++epoch) {
    std::vector<int32_t> row(256), labels(256);
    std::vector<uint8_t> mask(256);
    rows->fill(epoch, 0, {row, labels, mask});
    for (size_t word = 0; word < 50; ++word) {
      int selected = 0;
      for (size_t i = 2; i <= 5; ++i) selected += labels[word * 5 + i] != data::kNotScored;
      cut += selected != 0 && selected != 4;
    }
  }
  return cut;
}

}  // namespace

TEST_CASE("data.whole_words reaches the masks") {
  CHECK(words_cut(R"({"data": {"sampler": "mlm", "whole_words": true}})") == 0);
  CHECK(words_cut(R"({"data": {"sampler": "mlm"}})") > 500);
  CHECK_THROWS_WITH(words_cut(R"({"data": {"whole_word": true}})"), Contains("data.whole_words"));
}

TEST_CASE("a masked LM needs a tokenizer with its special tokens") {
  const auto plain =
      data::train_tokenizer({}, {.kind = data::TokenizerKind::byte, .special = {"<s>", "<pad>"}});
  const auto tokens = data::TokenStream::of({1, 2, 3}, int64_t(plain->vocab_size()), 0);
  CHECK_THROWS_WITH(masked_rows({}, *plain, tokens, 16, 1), Contains("mask token (<mask>)"));
}

TEST_CASE("data.order file keeps the rows in the order of the file") {
  TemporaryFolder tmp;
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < 64; ++i) ids.push_back(i);
  data::ShardWriter writer(tmp / "train.bin", 64, 0, {});
  writer.add(ids, {uint32_t(ids.size())});
  writer.commit();
  const auto first_ids = [&](const char* order) {
    TrainConfig config = parse_config(
        {{"data", {{"train", tmp / "train.bin"}, {"order", order}, {"context", 8}, {"batch", 8}}}}, "config");
    return open_data(config, models::Objective::clm, 8, 0, 1).training->next().ids;
  };
  const auto in_order = first_ids("file");
  // A row begins with the token before its first target; the stream's first row has none.
  for (size_t row = 2; row < 8; ++row) CHECK(in_order[row * 8] == in_order[(row - 1) * 8] + 8);
  CHECK(first_ids("shuffled") != in_order);
  CHECK_THROWS_WITH(
      parse_config({{"data", {{"order", "file"}, {"sampler", "random_crop"}}}}, "config"),
      Contains("data.order file has no meaning"));
}
