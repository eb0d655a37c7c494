// Read first: file_kind.h.
#include "data/file_kind.h"

#include <algorithm>
#include <cctype>
#include <cstdint>

#include "engine/base/check.h"

namespace data {
namespace {

using namespace std::string_view_literals;

/// A kind of file by bytes at one place. Longer signatures stand before those that they begin with.
struct Signature {
  std::string_view bytes;
  const char *kind, *advice;
  size_t offset = 0;
};

constexpr char kIconv16[] = "convert it: iconv -f UTF-16 -t UTF-8";
constexpr char kIconv32[] = "convert it: iconv -f UTF-32 -t UTF-8";
constexpr char kToJsonl[] =
    "export it as JSON Lines, in Python with pandas or datasets: to_json(\"x.jsonl\", orient=\"records\", "
    "lines=True)";
constexpr char kUnpack[] = "unpack it first";
constexpr char kNoText[] = "there is no text in it; leave it out";

constexpr Signature kSignatures[] = {
    {"\xff\xfe\0\0"sv, "text in UTF-32", kIconv32},
    {"\0\0\xfe\xff"sv, "text in UTF-32", kIconv32},
    {"\xff\xfe"sv, "text in UTF-16", kIconv16},
    {"\xfe\xff"sv, "text in UTF-16", kIconv16},
    {"PAR1"sv, "a Parquet file", kToJsonl},
    {"ARROW1"sv, "an Arrow file", kToJsonl},
    {"\xff\xff\xff\xff"sv, "an Arrow stream or other binary data", kToJsonl},
    {"Obj\x01"sv, "an Avro file", kToJsonl},
    {"\x89HDF\r\n\x1a\n"sv, "an HDF5 file", kToJsonl},
    {"SQLite format 3\0"sv, "an SQLite database", kToJsonl},
    {"NLTOKENS"sv, "a shard of tokens that `normlab prepare` made",
     "data.train and `eval ppl` take it as it is"},
    {"\x88\xd8\x34\x01"sv, "a token file of llm.c", "`normlab prepare --import llmc` reads it"},
    {"\xa1\xd9\x34\x01"sv, "a token file of llm.c", "`normlab prepare --import llmc` reads it"},
    {"\x93NUMPY"sv, "a NumPy array",
     "of token ids? Write them with tofile(), for `normlab prepare --import nanogpt`"},
    {"PK\x03\x04"sv, "a ZIP archive (also .docx, .xlsx, .epub, .npz)", kUnpack},
    {"PK\x05\x06"sv, "an empty ZIP archive", kNoText},
    {"7z\xbc\xaf\x27\x1c"sv, "a 7z archive", kUnpack},
    {"Rar!\x1a\x07"sv, "a RAR archive", kUnpack},
    {"ustar"sv, "a tar archive", kUnpack, 257},
    {"\x1f\x8b"sv, "gzip data inside another compressed file", kUnpack},
    {"\x28\xb5\x2f\xfd"sv, "zstd data inside another compressed file", kUnpack},
    {"\xfd"
     "7zXZ\0"sv,
     "xz data inside another compressed file", kUnpack},
    {"\x1f\x9d"sv, "a file of compress (.Z)", "unpack it: gzip -d"},
    {"BZh"sv, "a bzip2 file", "unpack it: bzip2 -d"},
    {"\x04\x22\x4d\x18"sv, "an lz4 file", "unpack it: lz4 -d"},
    {"\x5d\0\0"sv, "an .lzma file", "unpack it: xz -d"},
    {"%PDF-"sv, "a PDF", "take its text: pdftotext"},
    {"{\\rtf"sv, "a Rich Text document", "save it as plain text"},
    {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"sv, "an old Office document", "save it as plain text"},
    {"%!PS"sv, "PostScript", "take its text: ps2ascii"},
    {"\x89PNG\r\n\x1a\n"sv, "a PNG image", kNoText},
    {"\xff\xd8\xff"sv, "a JPEG image", kNoText},
    {"GIF8"sv, "a GIF image", kNoText},
    {"II*\0"sv, "a TIFF image", kNoText},
    {"MM\0*"sv, "a TIFF image", kNoText},
    {"RIFF"sv, "a RIFF file (WAV, AVI, WebP)", kNoText},
    {"OggS"sv, "an Ogg file", kNoText},
    {"fLaC"sv, "a FLAC file", kNoText},
    {"ID3"sv, "an MP3 file", kNoText},
    {"ftyp"sv, "an MP4 file", kNoText, 4},
    {"\x7f"
     "ELF"sv,
     "a program", kNoText},
    {"version https://git-lfs.github.com/spec/"sv, "a Git LFS pointer, not the file itself",
     "get the file: git lfs pull"}};

bool has(std::string_view head, const Signature& s) {
  return head.size() >= s.offset && head.substr(s.offset).starts_with(s.bytes);
}

/// Letters like ID3 may begin a text as well: such a word counts only in a file that has bytes which no text
/// has.
bool is_a_word(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return std::isalnum(uint8_t(c)) != 0; });
}

bool is_printable(uint8_t c) { return (c >= 0x20 && c != 0x7f) || (c >= '\t' && c <= '\r'); }

/// iconv's name of UTF-16 without its mark, letters and NUL by turns; nullptr for anything else.
const char* unmarked_utf16(std::string_view head) {
  size_t nul[2] = {0, 0}, printable = 0;
  for (size_t i = 0; i < head.size(); ++i) {
    nul[i % 2] += head[i] == 0;
    printable += is_printable(uint8_t(head[i]));
  }
  const auto most = [&](size_t n) { return n * 10 >= head.size() * 4; };
  if (!most(printable) || most(nul[0]) == most(nul[1])) return nullptr;
  return most(nul[0]) ? "UTF-16BE" : "UTF-16LE";
}

}  // namespace

void check_is_text(std::string_view head, const std::string& path) {
  const auto nul = size_t(std::count(head.begin(), head.end(), '\0'));
  const auto control = size_t(std::count_if(head.begin(), head.end(), [](char c) {
    return !is_printable(uint8_t(c)) && c != '\b' && c != '\x1b';  // what terminals and old editors write
  }));
  // A stray NUL is in many a text that was gathered from the web: one in a thousand bytes is not.
  const bool binary = (nul > 0 && nul * 1000 >= head.size()) || (control > 0 && control * 50 >= head.size());
  for (const Signature& s : kSignatures)
    engine::check(!has(head, s) || (is_a_word(s.bytes) && !binary), path, ": this is ", s.kind,
                  ", which is not read as text; ", s.advice);
  if (const char* encoding = binary ? unmarked_utf16(head) : nullptr)
    engine::fail(path, ": this is text in ", encoding, "; convert it: iconv -f ", encoding, " -t UTF-8");
  engine::check(!binary, path, ": this is not text (of its first ", head.size(), " bytes ", nul,
                " are NUL and ", control,
                " control characters); token files are read by `normlab prepare --import`");
}

}  // namespace data
