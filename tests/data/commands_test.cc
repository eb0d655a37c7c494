// normlab corpus, tokenizer and prepare as programs: the forms of their command lines, what they read from
// standard input, and bad input, which is one line, exit code 2 and nothing half-written.
#include <sys/stat.h>
#include <zlib.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "data/token_stream.h"
#include "data/tokenizer.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "run_program.h"
#include "shared_data.h"
#include "temporary_folder.h"

using Catch::Matchers::Contains;
using engine::read_file;
using engine::Json;
using engine::write_file;
namespace fs = std::filesystem;

namespace {

std::string run(const std::string& arguments) {
  const ProgramEnd end = run_normlab(arguments);
  INFO(arguments << "\n" << end.output);
  REQUIRE(end.code == 0);
  return end.output;
}

std::vector<int32_t> tokens_of(const std::string& set) {
  const auto stream = data::TokenStream::open(set);
  std::vector<int32_t> out(size_t(stream->size()));
  stream->read(0, stream->size(), out.data());
  return out;
}

std::string gzip(const std::string& text) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, uLong(text.size())) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = uInt(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = uInt(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

/// The command ends with 2, and its last line is one complaint of the program.
void check_refusal(const std::string& command, const std::string& complaint) {
  const ProgramEnd end = run_normlab(command);
  INFO(command << "\n" << end.output);
  CHECK(end.code == 2);
  const size_t last =
      end.output.size() < 2 ? std::string::npos : end.output.rfind('\n', end.output.size() - 2);
  const std::string line = end.output.substr(last == std::string::npos ? 0 : last + 1);
  CHECK_THAT(line, Contains(complaint));
  CHECK(line.starts_with("normlab "));
}

}  // namespace

TEST_CASE("tokenizer import, encode and decode as model directories want them") {
  const std::string bpe = shared_path("data/gpt2-bpe");
  if (bpe.empty()) return;
  const TemporaryFolder folder;
  const std::string gpt2 = folder / "gpt2", roberta = folder / "roberta", again = folder / "again";
  const std::string files = " --vocab " + bpe + "/encoder.json --merges " + bpe + "/vocab.bpe";
  run("tokenizer import" + files + " --out " + gpt2);
  run("tokenizer import" + files + " --dict " + bpe + "/roberta_dict.txt --out " + roberta);
  run("tokenizer import --json " + gpt2 + "/tokenizer.json --out " + again);
  CHECK(read_file(again + "/tokenizer.json") == read_file(gpt2 + "/tokenizer.json"));

  write_file(folder / "text", "Hello world\n\n<|endoftext|>");
  const auto ids = [&](const std::string& tokenizer, const std::string& flags) {
    return run("tokenizer encode --tokenizer " + tokenizer + flags + " < " + folder / "text");
  };
  CHECK(ids(gpt2, "") == "[15496,995,198,198,27,91,437,1659,5239,91,29]\n");
  CHECK(ids(gpt2, " --special") == "[15496,995,628,50256]\n");
  CHECK(ids(gpt2, " --lines --special") == "[15496,995]\n[]\n[50256]\n");
  CHECK(ids(roberta, " --lines").starts_with("[0,31414,232,2]\n[0,2]\n"));  // as transformers does
  CHECK(ids(roberta, " --lines --bare").starts_with("[31414,232]\n[]\n"));
  CHECK(ids(roberta, " --lines --special").starts_with("[31414,232]\n[]\n"));

  write_file(folder / "ids", " [15496, 995,\n 628 ,50256] ");
  CHECK(run("tokenizer decode --tokenizer " + gpt2 + " < " + folder / "ids") ==
        "Hello world\n\n<|endoftext|>");
  write_file(folder / "ids", "[15496,995]\n[]\n[187]\n");
  CHECK(run("tokenizer decode --lines --tokenizer " + gpt2 + " < " + folder / "ids") ==
        "Hello world\n\n\xFF\n");
}

TEST_CASE("tokenizer encode and decode say the same as JSON") {
  const TemporaryFolder folder;
  const std::string text = "aé\n\nb";
  write_file(folder / "text", text);
  run("tokenizer train --kind byte --out " + folder / "t");
  const auto results = [&](const std::string& arguments, const std::string& input) {
    const Json out = engine::parse_json(
        run("tokenizer " + arguments + " --json --tokenizer " + folder / "t" + " < " + folder / input),
        arguments);
    CHECK(out.size() == 1);
    return out.at("results");
  };
  const Json whole = results("encode", "text"), lines = results("encode --lines", "text");
  REQUIRE(whole.size() == 1);
  CHECK(whole[0]["ids"] == Json({97, 195, 169, 10, 10, 98}));
  CHECK(whole[0]["texts"] == Json({"a", "\uFFFD", "\uFFFD", "\n", "\n", "b"}));
  REQUIRE(lines.size() == 3);
  CHECK(lines[0]["ids"] == Json({97, 195, 169}));
  CHECK(lines[1]["ids"] == Json::array());
  write_file(folder / "ids", "[97,195,169]\n[]\n");
  CHECK(results("decode --lines", "ids") == Json({{{"text", "aé"}}, {{"text", ""}}}));
}

TEST_CASE("tokenizer train reads documents: text, JSONL, gzip, a corpus folder, standard input") {
  const TemporaryFolder folder;
  const std::string text = "the cat\nthe hat\n", other = "that hat\n";
  const auto train = [&](const std::string& arguments, const std::string& kind = "bpe --vocab-size 262") {
    run("tokenizer train --out " + folder / "t" + " --kind " + kind + " " + arguments);
    return data::load_tokenizer(folder / "t")->hash();
  };
  write_file(folder / "a.txt", text + "<|endoftext|>\n" + other);
  write_file(folder / "a.jsonl",
             engine::Json{{"body", text}}.dump() + "\n" + engine::Json{{"body", other}}.dump());
  write_file(folder / "a.txt.gz", gzip(text + "<|endoftext|>\n" + other));
  engine::make_directories(folder / "sets");
  write_file(folder / "sets/train.txt", text + "<|endoftext|>\n" + other);
  write_file(folder / "sets/valid.txt", "zzzz zzzz zzzz zzzz");
  write_file(folder / "one.txt", text), write_file(folder / "two.txt", other);

  const std::string hash = train("--input " + folder / "one.txt" + " --input " + folder / "two.txt");
  CHECK(train("--input " + folder / "a.txt") == hash);
  CHECK(train("--field body --input " + folder / "a.jsonl") == hash);
  CHECK(train("--input " + folder / "a.txt.gz") == hash);
  CHECK(train("--input " + folder / "sets") == hash);
  CHECK(train("< " + folder / "a.txt") == hash);
  CHECK(train("--input - < " + folder / "a.txt.gz") == hash);
  CHECK(train("--field body < " + folder / "a.jsonl") == hash);
  CHECK(train("--threads 3 --input " + folder / "a.txt") == hash);
  for (const char* kind : {"byte", "char", "word"}) {
    train("--special '<pad>' --input " + folder / "a.txt", kind);
    CHECK(kind == std::string(kind_name(data::load_tokenizer(folder / "t")->kind())));
  }
}

TEST_CASE("corpus and prepare take JSONL on standard input where --field names its key") {
  const TemporaryFolder folder;
  write_file(folder / "lines", "{\"id\": 1, \"body\": \"one\\ntwo\"}\n\n{\"body\": \"three\"}\n");
  run("corpus - --field body --valid 0 --test 0 --out " + folder / "corpus" + " < " + folder / "lines");
  CHECK(read_file(folder / "corpus/train.txt") == "one\ntwo\n<|endoftext|>\nthree\n");
  run("tokenizer train --kind byte --special '<|endoftext|>' --out " + folder / "t");
  run("prepare --tokenizer " + folder / "t" + " --input - --field body --out " + folder / "p" + " < " +
      folder / "lines");
  CHECK(tokens_of(folder / "p/train") ==
        std::vector<int32_t>{'o', 'n', 'e', '\n', 't', 'w', 'o', 256, 't', 'h', 'r', 'e', 'e', 256});
  // Without --field the same bytes are one text.
  run("prepare --tokenizer " + folder / "t" + " --input - --out " + folder / "q" + " < " + folder / "lines");
  CHECK(tokens_of(folder / "q/train").size() == read_file(folder / "lines").size() + 1);
}

TEST_CASE("of standard input that somebody read a part of the rest is read") {
  const TemporaryFolder folder;
  run("tokenizer train --kind byte --out " + folder / "t");
  write_file(folder / "text", "head\none\ntwo\n");
  const ProgramEnd end = run_shell(
      "{ dd bs=5 count=1 of=/dev/null status=none; " BINARY_DIR "/normlab prepare --raw --tokenizer " +
      folder / "t" + " --input - --out " + folder / "p" + "; } < " + folder / "text");
  INFO(end.output);
  REQUIRE(end.code == 0);
  CHECK(tokens_of(folder / "p/train") == std::vector<int32_t>{'o', 'n', 'e', '\n', 't', 'w', 'o', '\n'});
}

TEST_CASE("bad input to corpus, tokenizer and prepare is one line, 2, and nothing written") {
  const TemporaryFolder folder;
  const std::string in = folder / "in", tok = folder / "tok", out = folder / "out";
  run("tokenizer train --kind byte --special '<|endoftext|>' --out " + tok);
  run("tokenizer train --kind byte --out " + folder / "tok2");
  write_file(folder / "good.txt", "some text\n");
  run("prepare --tokenizer " + tok + " --input " + folder / "good.txt" + " --out " + folder / "p");
  const std::string shard = folder / "p/train-00000.bin", bytes = read_file(shard);
  const std::string prepare = "prepare --out " + out + " --tokenizer " + tok + " --input " + in;
  const std::string to = " --out " + out;
  using namespace std::string_literals;
  const struct {
    std::string input, command, complaint;
  } cases[] = {
      {"", "corpus " + in + to, "no text"},
      {"\xFFx", "corpus " + in + to, "not valid UTF-8 at byte 0"},
      {"\x1f\x8b\x08\x00garbage"s, "corpus " + in + to, "gzip"},
      {"\x28\xb5\x2f\xfd\x24"s, "corpus " + in + to, "truncated zstd"},
      {"{\"text\": 1}\n", "corpus - --field text" + to + " < " + in, "stdin:1"},
      {"{\"a\": \"x\"}\n", "corpus - --field text" + to + " < " + in, "no key \"text\""},
      {"{\"text\": \"x\"}\n{\n", "prepare --field text --tokenizer " + tok + to + " --input - < " + in,
       "stdin:2"},
      {"x", "corpus /nowhere" + to, "neither a file nor a corpus by name"},
      {"x", "corpus janeausen" + to, "nearest name: janeausten"},
      {"", "tokenizer train --input " + in + to, "no text to learn from"},
      {"x", "tokenizer train --vocab-size 100 --input " + in + to, "too small"},
      {"x", "tokenizer train --kind words --input " + in + to, "\"words\" is not bpe, byte, char or word"},
      {"a\xFF", "tokenizer train --kind char --input " + in + to, "not valid UTF-8 at byte 1"},
      {"{\"model\":", "tokenizer import --json " + in + to, "not valid JSON"},
      {"[1,", "tokenizer decode --tokenizer " + tok + " < " + in, "expected a token id"},
      {"[257]", "tokenizer decode --tokenizer " + tok + " < " + in, "outside the vocabulary of 257"},
      {"[1][2]", "tokenizer decode --tokenizer " + tok + " < " + in, "more than one JSON array"},
      {"x", "tokenizer encode --tokenizer " + in + " < " + in, "not valid JSON"},
      {"", prepare, "no tokens"},
      {bytes, prepare + " --import llmc", "not a token file of llm.c"},
      {"abc", prepare + " --import nanogpt", "no whole number"},
      {"\xFF\xFF", prepare + " --import nanogpt", "outside the tokenizer's vocabulary"},
      {"x", "prepare --tokenizer " + folder / "tok2" + " --input " + in + " --out " + folder / "p",
       "tokens of another tokenizer"},
  };
  for (const auto& bad : cases) {
    write_file(in, bad.input);
    check_refusal(bad.command, bad.complaint);
    for (const char* file : {"/train.txt", "/manifest.json", "/train-00000.bin"})
      CHECK_FALSE(fs::exists(out + file));
    if (!bad.command.starts_with("prepare")) CHECK_FALSE(fs::exists(out + "/tokenizer.json"));
    fs::remove_all(out);
  }
  CHECK(read_file(shard) == bytes);
}

TEST_CASE("a corpus is written neither over its text nor among the files that it is made of") {
  const TemporaryFolder folder;
  const std::string text = "one  \ntwo  \n", in = folder / "in";
  engine::make_directories(in);
  write_file(in + "/train.txt", text);
  check_refusal("corpus " + in + "/train.txt --out " + in, "train.txt: would be replaced");
  for (const char* out : {"", "/corpus", "/."})
    check_refusal("corpus " + in + " --out " + in + out, "lies in the input");
  CHECK(read_file(in + "/train.txt") == text);
  CHECK(!fs::exists(in + "/corpus"));
  run("corpus " + in + "/train.txt --out " + in + "/corpus");
}

TEST_CASE("training refuses shards that are damaged, foreign, too short or another tokenizer's") {
  const TemporaryFolder folder;
  const std::string tok = folder / "tok", other = folder / "other", shard = folder / "p/train-00000.bin";
  run("tokenizer train --kind byte --special '<|endoftext|>' --out " + tok);
  run("tokenizer train --kind byte --special '<s>' --out " + other);
  write_file(folder / "text", "some text that is long enough\n"), write_file(folder / "one", "a");
  run("prepare --tokenizer " + tok + " --input " + folder / "text" + " --out " + folder / "p");
  run("prepare --raw --tokenizer " + tok + " --input " + folder / "one" + " --out " + folder / "one-token");
  const auto train = [&](const std::string& tokens, const std::string& tokenizer) {
    return "train --out " + folder / "run" +
           " --set model.preset=char-clm --set model.vocab_size=257 --set budget.steps=1 --set data.context=8"
           " --set data.train=" +
           tokens + " --set data.tokenizer=" + tokenizer;
  };
  check_refusal(train(folder / "one-token/train", tok), "too short (tokens: 1)");
  check_refusal(train(folder / "p/train", other), "another tokenizer (its hash differs)");
  check_refusal(train(folder / "q/train", tok), "no token shard there");
  const std::string good = read_file(shard);
  const auto with = [&](size_t at, const std::string& bytes) {
    return std::string(good).replace(at, bytes.size(), bytes);
  };
  std::string wide = with(32, {"\x70\x11\x01\0", 4});  // a vocabulary of 70,000
  const uint32_t checksum = uint32_t(crc32_z(0, reinterpret_cast<const Bytef*>(wide.data()), 76));
  wide.replace(76, 4, reinterpret_cast<const char*>(&checksum), 4);
  const std::pair<std::string, std::string> damaged[] = {
      {"", "not a token shard: 0 bytes"},
      {good.substr(0, 40), "not a token shard: 40 bytes"},
      {good.substr(0, 100), "truncated: 100 bytes"},
      {good + "x", "too long"},
      {with(0, "GIF89a"), "not a token shard"},
      {with(16, "\xFF"), "header is damaged"},
      {with(82, "\x7F"), "do not match the checksum"},
      {wide, "a vocabulary of 70000 does not fit into 2-byte tokens"},
  };
  for (const auto& [bytes, complaint] : damaged) {
    write_file(shard, bytes);
    check_refusal(train(folder / "p/train", tok), complaint);
  }
  write_file(shard, good);
  CHECK(run_normlab(train(folder / "p/train", tok)).code == 0);
}

TEST_CASE("Ctrl-C ends the wait for a named pipe that nobody writes to, with 130", "[medium]") {
  const TemporaryFolder folder;
  run("tokenizer train --kind byte --special '<|endoftext|>' --out " + folder / "tok");
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  for (const std::string& command :
       {"prepare --tokenizer " + folder / "tok" + " --out " + folder / "set" + " --input ",
        "train --set budget.steps=1 --out " + folder / "run" + " --text "}) {
    const ProgramEnd end = run_normlab(command + folder / "pipe", "timeout --preserve-status -s INT 1");
    INFO(command << "\n" << end.output);
    CHECK(end.code == 130);
    CHECK_THAT(end.output, !Contains("cannot open"));
  }
}
