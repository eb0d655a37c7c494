// Reading and cleaning of text: compressed files, documents, HTML, UTF-8.
#include <catch2/catch.hpp>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "data/byte_source.h"
#include "data/clean_text.h"
#include "data/documents.h"
#include "data/html_text.h"
#include "data/unicode_form.h"
#include "data/utf8.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/philox.h"
#include "temporary_folder.h"

#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

using namespace data;
using Catch::Matchers::Contains;

namespace {

std::string gzip(const std::string& text) {
  z_stream s{};
  deflateInit2(&s, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&s, text.size()) + 64, '\0');
  s.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data())), s.avail_in = uInt(text.size());
  s.next_out = reinterpret_cast<Bytef*>(out.data()), s.avail_out = uInt(out.size());
  deflate(&s, Z_FINISH);
  out.resize(s.total_out);
  deflateEnd(&s);
  return out;
}

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

std::string xz(const std::string& text) {
  std::string out(lzma_stream_buffer_bound(text.size()), '\0');
  size_t size = 0;
  lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, nullptr, reinterpret_cast<const uint8_t*>(text.data()),
                          text.size(), reinterpret_cast<uint8_t*>(out.data()), &size, out.size());
  out.resize(size);
  return out;
}

std::vector<std::string> texts(const std::string& path, const std::string& field = "text") {
  std::vector<std::string> out;
  read_documents(path, {field}, [&](Document&& d) { out.push_back(std::move(d.text)); });
  return out;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("gzip, zstd, xz and plain files give the same bytes, also when joined end to end") {
  const TemporaryFolder folder;
  engine::Rng rng{3};
  std::string text;
  for (int i = 0; i < 700000; ++i) text += char('a' + rng.below(20));
  for (const auto& packed :
       {text, gzip(text), zstd(text), gzip(text.substr(0, 1000)) + gzip(text.substr(1000)),
        zstd(text.substr(0, 1000)) + zstd(text.substr(1000)), xz(text),
        xz(text.substr(0, 1000)) + xz(text.substr(1000)) + std::string(4, '\0'),
        "\x50\x2a\x4d\x18\x01" + std::string(3, '\0') + "x" + zstd(text)}) {
    engine::write_file(folder / "a", packed);
    CHECK(read_all(*open_bytes(folder / "a"), "a") == text);
  }
  for (const auto& packed : {gzip(text), zstd(text), xz(text)}) {
    engine::write_file(folder / "a", std::string_view(packed).substr(0, packed.size() - 9));
    CHECK_THROWS_WITH(read_all(*open_bytes(folder / "a"), "a"), Contains("truncated"));
    engine::write_file(folder / "a", packed);
    CHECK_THROWS_WITH(read_all(*open_bytes(folder / "a"), "a", 1000), Contains("more than 1000 bytes"));
  }
  std::string broken = gzip(text);
  engine::write_file(folder / "a", gzip(text) + std::string(700, '\0'));  // as a tape pads
  CHECK(read_all(*open_bytes(folder / "a"), "a") == text);
  engine::write_file(folder / "a", gzip(text) + "rest");
  CHECK_THROWS_WITH(read_all(*open_bytes(folder / "a"), "a"), Contains("damaged gzip data"));
  broken[broken.size() / 2] = char(broken[broken.size() / 2] ^ 0x5a);
  engine::write_file(folder / "a", broken);
  CHECK_THROWS_WITH(read_all(*open_bytes(folder / "a"), "a"), Contains("damaged gzip data"));
  CHECK_THROWS_WITH(open_bytes(folder / "none"), Contains("cannot open"));
  CHECK_THROWS_WITH(open_bytes(folder.path), Contains("is a folder"));
}

TEST_CASE("compressed files of very many small parts take time in proportion to their size") {
  const TemporaryFolder folder;
  constexpr int parts = 100'000;
  for (const auto& part : {gzip("x"), zstd("x"), "\x50\x2a\x4d\x18" + std::string(4, '\0') + zstd("x")}) {
    std::string packed;
    for (int i = 0; i < parts; ++i) packed += part;
    engine::write_file(folder / "a", packed);
    const std::clock_t before = std::clock();
    CHECK(read_all(*open_bytes(folder / "a"), "a") == std::string(parts, 'x'));
    CHECK(double(std::clock() - before) / CLOCKS_PER_SEC < 4);
  }
}

TEST_CASE("a zstd file with the largest window is read") {
  const TemporaryFolder folder;
  const std::string text(100'000, 'x');
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, 31);
  std::string packed(ZSTD_compressBound(text.size()) + 100, '\0');
  ZSTD_inBuffer in{text.data(), text.size(), 0};  // streamed, so that the frame says its window
  ZSTD_outBuffer out{packed.data(), packed.size(), 0};
  while (ZSTD_compressStream2(context, &out, &in, in.pos < in.size ? ZSTD_e_flush : ZSTD_e_end) != 0 ||
         in.pos < in.size) {
  }
  ZSTD_compressStream2(context, &out, &in, ZSTD_e_end);
  ZSTD_freeCCtx(context);
  engine::write_file(folder / "a.zst", std::string_view(packed).substr(0, out.pos));
  CHECK(read_all(*open_bytes(folder / "a.zst"), "a") == text);
}

TEST_CASE("a file that grows while it is read is noticed") {
  const TemporaryFolder folder;
  engine::write_file(folder / "a", std::string(3 << 20, 'x'));
  auto source = open_bytes(folder / "a");
  std::string out;
  source->read(out);
  std::ofstream(folder / "a", std::ios::app) << "more";
  CHECK_THROWS_WITH(read_all(*source, "a"), Contains("changed while it was read"));
}

TEST_CASE("lines come whole, and the last one may lack its end") {
  const TemporaryFolder folder;
  const std::string long_line(3 << 20, 'x');
  engine::write_file(folder / "a", "one\n\n" + long_line + "\nlast");
  LineReader lines(folder / "a");
  std::string line;
  Texts got;
  while (lines.next(line)) got.push_back(line);
  CHECK(got == Texts{"one", "", long_line, "last"});
  CHECK(!lines.ended_with_newline());
  CHECK(lines.line_number() == 4);
  LineReader strict(folder / "a", 1000);
  CHECK_THROWS_WITH(
      [&] {
        while (strict.next(line)) {
        }
      }(),
      Contains("longer than 1000"));
}

TEST_CASE("separator lines end documents, other text is kept byte for byte") {
  const TemporaryFolder folder;
  const auto read = [&](const std::string& bytes) {
    engine::write_file(folder / "a.txt", bytes);
    return texts(folder / "a.txt");
  };
  CHECK(read("") == Texts{});
  CHECK(read("a\r\n\n b") == Texts{"a\r\n\n b"});
  CHECK(read("a\n<|endoftext|>\nb\n") == Texts{"a\n", "b\n"});
  CHECK(read("a\n<|endoftext|>\r\nb\n<|endoftext|>\n") == Texts{"a\n", "b\n"});
  CHECK(read("<|endoftext|>\n\n") == Texts{"", "\n"});
  CHECK(read("a <|endoftext|>\n") == Texts{"a <|endoftext|>\n"});
  CHECK(holds_separator_line("x\n<|endoftext|>\r\ny"));
  CHECK(holds_separator_line("<|endoftext|>"));
  CHECK(!holds_separator_line("x <|endoftext|>\n<|endoftext|> y"));
}

TEST_CASE("JSONL, HTML, compressed files and folders are documents too") {
  const TemporaryFolder folder;
  engine::write_file(folder / "b.jsonl",
                     "{\"text\": \"one\\n\", \"id\": 1}\n\n{\"text\": \"two\", \"body\": \"x\"}");
  engine::write_file(folder / "c.txt.gz", gzip("three\n"));
  engine::write_file(folder / "d.html.zst", zstd("<body><p>four &amp; five</p></body>"));
  engine::write_file(folder / "e.html", "\xef\xbb\xbf<p>six</p>");  // the mark is no part of the text
  engine::write_file(folder / ".hidden", "no");
  engine::make_directories(folder / "a");
  engine::write_file(folder / "a/z.txt", "zero\n");
  CHECK(texts(folder.path) == Texts{"zero\n", "one\n", "two", "three\n", "four & five\n", "six\n"});
  CHECK_THROWS_WITH(texts(folder / "b.jsonl", "body"), Contains("b.jsonl:1: no key \"body\""));
  engine::write_file(folder / "b.jsonl", "{\"text\": 3}\n");
  CHECK_THROWS_WITH(texts(folder / "b.jsonl"), Contains("expected a string"));
  engine::write_file(folder / "b.jsonl", "[1]\n");
  CHECK_THROWS_WITH(texts(folder / "b.jsonl"), Contains("b.jsonl:1: expected a JSON object"));
  CHECK_THROWS_WITH(texts(folder / "none.txt"), Contains("none.txt"));
  engine::make_directories(folder / "empty");
  CHECK_THROWS_WITH(texts(folder / "empty"), Contains("no files"));
}

TEST_CASE("JSON as Python writes it: NaN, halves of pairs, null for a text") {
  const TemporaryFolder folder;
  engine::write_file(
      folder / "a.jsonl",
      "\xef\xbb\xbf{\"score\": NaN, \"low\": -Infinity, \"text\": \"NaN \\ud83d \\ud83d\\ude00 \\\\ud83d\"}\n"
      "{\"text\": null}\n{\"text\": \"\\udc00\"}\n");
  CHECK(texts(folder / "a.jsonl") == Texts{"NaN \ufffd \U0001f600 \\ud83d", "", "\ufffd"});
  for (const std::string first :
       {"{\"score\": NaN, \"text\": \"one\"}", "{\"text\": \"one\", \"by\": \"\\udc00\"}"}) {
    engine::write_file(folder / "a.json", first + "\n{\"text\": \"two\"}\n");
    CHECK(texts(folder / "a.json") == Texts{"one", "two"});
  }
  engine::write_file(folder / "a.jsonl", "{\"text\": nan}\n");
  CHECK_THROWS_WITH(texts(folder / "a.jsonl"), Contains("a.jsonl:1: not valid JSON"));
}

TEST_CASE("JSON files and CSV give the texts of their field, and JSON is no text") {
  const TemporaryFolder folder;
  const auto read = [&](const std::string& name, const std::string& bytes,
                        const std::string& field = "text") {
    engine::write_file(folder / name, bytes);
    return texts(folder / name, field);
  };
  CHECK(read("a.json", "[{\"text\": \"one\"},\n {\"text\": \"two\"}]") == Texts{"one", "two"});
  CHECK(read("a.json", "{\n \"text\": \"one\"\n}\n") == Texts{"one"});
  CHECK(read("A.JSON", "{\"text\": \"one\"}\n{\"text\": \"two\"}\n") == Texts{"one", "two"});
  CHECK_THROWS_WITH(read("a.json", "[{\"text\": \"one\"}, {\"body\": 1}]"),
                    Contains("item 2: no key \"text\""));
  CHECK_THROWS_WITH(read("a.json", ""), Contains("a.json"));
  CHECK(read("a.csv", "id,text\n1,\"one, \"\"1\"\"\nline\"\n2,two\n") == Texts{"one, \"1\"\nline", "two"});
  CHECK(read("a.csv",
             "\xef\xbb\xbf"
             "body\r\none\r\n",
             "body") == Texts{"one"});
  CHECK_THROWS_WITH(read("a.csv", "id,body\n1,one\n"), Contains("no column \"text\""));
  CHECK_THROWS_WITH(read("a.csv", "id,text\n1\n"), Contains("record 1 has 1 fields"));
  CHECK_THROWS_WITH(read("a.tsv", "id\ttext\n1\tone\n"), Contains("tab-separated"));
  CHECK_THROWS_WITH(read("a.txt", "{\"text\": \"one\"}\n"), Contains("JSON, not text"));
  CHECK_THROWS_WITH(read("part-00000", "[{\"text\": \"one\"}]"), Contains("JSON, not text"));
  CHECK(read("a.txt", "{not JSON}\n") == Texts{"{not JSON}\n"});
  CHECK(read("b.txt", "{\"key\": 1}\n") == Texts{"{\"key\": 1}\n"});
  CHECK(read("b.txt", "\xef\xbb\xbfone\n") == Texts{"one\n"});  // the mark is no part of the text
}

TEST_CASE("what is not text is told by its bytes") {
  const TemporaryFolder folder;
  using namespace std::string_literals;
  const std::string noise = "\x01\x02\0\x03\x80\x90"s;
  const std::pair<std::string, std::string> files[] = {
      {"PAR1" + noise, "Parquet"},
      {"ARROW1\0\0"s, "Arrow"},
      {"PK\x03\x04" + noise, "ZIP"},
      {"\x89PNG\r\n\x1a\n" + noise, "PNG"},
      {"\xff\xd8\xff\xe0" + noise, "JPEG"},
      {"%PDF-1.7\n", "pdftotext"},
      {"BZh91AY&SY" + noise, "bzip2"},
      {"7z\xbc\xaf\x27\x1c" + noise, "7z"},
      {"\xff\xfeh\0i\0"s, "iconv -f UTF-16"},
      {"\xfe\xff\0h\0i"s, "iconv -f UTF-16 "},
      {"h\0e\0l\0l\0o\0"s, "iconv -f UTF-16"},
      {"\xff\xfe\0\0h\0\0\0"s, "iconv -f UTF-32"},
      {"NLTOKENS" + noise, "shard of tokens"},
      {"\x88\xd8\x34\x01\x01\0\0\0"s, "--import llmc"},
      {"\x93NUMPY\x01\0v\0"s, "NumPy"},
      {gzip(gzip("text\n")), "gzip data inside"},
      {std::string(257, 'a') + "ustar\0"s + std::string(30, '\0'), "tar"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"},
      {"\x05\0\x07\0\x21\x03"s, "not text"},
      {"SQLite format 3\0"s, "SQLite"}};
  for (const auto& [bytes, word] : files) {
    CAPTURE(word);
    engine::write_file(folder / "a.txt", bytes);
    CHECK_THROWS_WITH(texts(folder / "a.txt"), Contains("a.txt: this is ") && Contains(word));
  }
  // Words of a text, other encodings, a stray NUL: these are texts.
  for (const std::string& text : {"BZh is short for bzip\n"s, "ID3 tags\n"s, "RIFF-RAFF\n"s, "caf\xe9\n"s,
                                  "\x1b[1mbold\x1b[0m\n"s, std::string(5000, 'x') + '\0' + "\n"s, ""s}) {
    engine::write_file(folder / "a.txt", text);
    CHECK(texts(folder / "a.txt") == (text.empty() ? Texts{} : Texts{text}));
  }
}

TEST_CASE("links are followed, one that leads nowhere or in a circle is named") {
  const TemporaryFolder folder;
  namespace fs = std::filesystem;
  engine::make_directories(folder / "in");
  engine::make_directories(folder / "elsewhere/deep");
  engine::write_file(folder / "elsewhere/deep/b.txt", "two\n");
  engine::write_file(folder / "in/a.txt", "one\n");
  engine::write_file(folder / "c.txt", "three\n");
  fs::create_directory_symlink(folder / "elsewhere", folder / "in/b");
  fs::create_symlink(folder / "c.txt", folder / "in/c.txt");
  CHECK(texts(folder / "in") == Texts{"one\n", "two\n", "three\n"});
  fs::create_directory_symlink(folder / "in", folder / "elsewhere/deep/back");
  CHECK_THROWS_WITH(texts(folder / "in"), Contains("a link to a folder that holds it"));
  fs::remove(folder / "elsewhere/deep/back");
  fs::create_symlink(folder / "none", folder / "in/d.txt");
  CHECK_THROWS_WITH(texts(folder / "in"), Contains("d.txt: a link that leads nowhere"));
}

TEST_CASE("HTML becomes paragraphs") {
  CHECK(html_to_text(
            "<html><head><title>t</title></head><body><h1>A  title</h1><p>one\n  <b>two</b>,\nthree<br/>"
            "four<!-- no > --></p><ul><li>x<li>y</ul></body></html>") ==
        "A title\n\none two, three\n\nfour\n\nx\n\ny\n");
  CHECK(html_to_text("<pre>a\n   b &lt; c</pre>tail") == "a\n   b < c\n\ntail\n");
  CHECK(html_to_text("<div class=\"x navheader\"><p>no</p></div><p>yes</p><script>if (a<b) {}</script>") ==
        "yes\n");
  CHECK(html_to_text("<P>a</P><SCRIPT>if (a</b>c) {}</SCRIPT><STYLE>b {}</Style><P>c</P><script>d") ==
        "a\n\nc\n");
  CHECK(html_to_text("<nav>no</nav><div role=\"main\"><div>a</div>b</div><p>no</p>") == "a\n\nb\n");
  CHECK(html_to_text("<table><tr><th>h<th>i</tr><tr><td>1</td><td>2</td></tr></table>").find("1 | 2") !=
        std::string::npos);
  CHECK(html_to_text("a < b <") == "a < b <\n");
  CHECK(html_to_text("<p title='a > b'>x</p></div></p>") == "x\n");
  CHECK(html_to_text("<p title=don't>x <b id = \"y>\">y</b></p><p>it's z</p>") == "x y\n\nit's z\n");
  CHECK(html_to_text("") == "");
  CHECK(decode_entities("&#65;&#x2014;&mdash;&unknown;&#xD800;&#99999999;&") ==
        "A——&unknown;&#xD800;&#99999999;&");
}

TEST_CASE("hostile HTML takes time in proportion to its size") {
  std::string deep, text(2 << 20, '&');
  for (int i = 0; i < 200'000; ++i) deep += "<b>";
  for (int i = 0; i < 200'000; ++i) deep += "x</i>";
  CHECK(html_to_text(text) == text + "\n");
  CHECK(html_to_text(deep) == std::string(200'000, 'x') + "\n");
}

TEST_CASE("UTF-8 is checked, and broken bytes are named or replaced") {
  const std::string good = "a\u00e9\u4e2d\U0001f600";
  CHECK(valid_utf8_prefix(good) == good.size());
  for (const std::string bad : {"\x80", "\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff"}) {
    const std::string text = std::string(300, 'x') + good + bad + "tail";
    CHECK(valid_utf8_prefix(text) == 300 + good.size());
    CHECK_THROWS_WITH(checked_utf8(text, InvalidUtf8::fail, "f.txt"),
                      Contains("f.txt") && Contains("at byte 310"));
    const std::string fixed = checked_utf8(text, InvalidUtf8::replace, "");
    CHECK(valid_utf8_prefix(fixed) == fixed.size());
    CHECK(fixed.starts_with(std::string(300, 'x') + good + "\ufffd"));
    CHECK(fixed.ends_with("tail"));
  }
}

TEST_CASE("cleaning gives NFC, plain lines and nothing else") {
  const auto clean = [](const std::string& text) { return clean_text(text, InvalidUtf8::fail, "t"); };
  CHECK(clean("\xef\xbb\xbf"
              "e\u0301\r\nx \t\r\r\n\n\n\ny\x01\x7fz\u2028w") == "\u00e9\nx\n\nyz\nw\n");
  // What ends a line or a page somewhere parts words; the other control characters are dropped.
  CHECK(clean("a\fb\vc\u0085d\x1c"
              "e\x1d"
              "f\x1eg\x1fh\u0080i") == "a\nb\nc\nd\ne\nf\ng hi\n");
  CHECK(clean("\n \n\t\n") == "");
  CHECK(clean("a\tb") == "a\tb\n");
  CHECK(to_form("A\u030a", UnicodeForm::nfc) == "\u00c5");
  CHECK(unwrap_paragraphs("one\ntwo\n\nthree\n  four\nfive\n") == "one two\n\nthree\n  four five\n");
  engine::Rng rng{5};
  const std::string pieces[] = {"a",       " ",      "\n",     "\r",     "\t",
                                "e\u0301", "\u2028", "\u0301", "\ufeff", "\U0001f600"};
  for (int round = 0; round < 3000; ++round) {  // cleaning twice changes nothing more
    std::string text;
    for (uint64_t n = rng.below(20); n > 0; --n) text += pieces[rng.below(std::size(pieces))];
    const std::string once = clean(text);
    CAPTURE(text);
    CHECK(clean(once) == once);
  }
}
