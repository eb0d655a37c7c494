// Fuzzing what `normlab corpus` reads: text, JSONL and HTML, plain, gzip or zstd, and R's databases. The
// first byte chooses the form; what was read is cleaned.
#include <zlib.h>

#include "data/byte_source.h"
#include "data/clean_text.h"
#include "data/documents.h"
#include "data/html_text.h"
#include "data/r_data.h"
#include "data/utf8.h"
#include "fuzz.h"

namespace {

enum Form : uint8_t { text_form, jsonl_form, html_form, r_form, forms };

std::string gzip(const std::string& bytes) {
  z_stream stream{};
  deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(bytes.size() + 100, 0);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = uInt(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = uInt(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

void read(const std::string& path) {
  data::read_documents(path, {}, [](data::Document&& document) {
    const std::string text = data::clean_text(document.text, data::InvalidUtf8::replace, document.where);
    require(data::valid_utf8_prefix(text) == text.size());
    require(data::clean_text(text, data::InvalidUtf8::fail, "again") == text);
  });
}

}  // namespace

std::vector<std::string> fuzz_seeds() {
  const std::string text = "One.\r\n\n\n\nTwo\u2028e\u0301 \n<|endoftext|>\nThree";
  const std::string html =
      "<html><head><title>t</title></head><body><div role=\"main\"><p class='x'>A &amp; B&#x41;<br/>"
      "<pre>a\n b</pre><table><tr><td>1<td>2</table><script>x<y</script><!-- c --></div></body></html>";
  const std::string r =
      byte_text("X\n\0\0\0\2\0\4\2\2\0\2\3\0\0\0\0\x10\0\0\0\2\0\4\0\x9\0\0\0\2hi\0\0\0\x9\xff\xff\xff\xff");
  return {char(text_form) + text,
          char(text_form) + gzip(text),
          char(text_form) + byte_text("\x28\xb5\x2f\xfd\x04\x00\x19\x00\x00\x61\x62\x0a"),
          char(jsonl_form) + std::string("{\"text\": \"a\\nb\"}\n\n{\"text\": \"c\"}\n"),
          char(html_form) + html,
          char(r_form) + r,
          char(r_form) + gzip(r)};
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  if (size == 0) return 0;
  const std::string_view input = input_text(bytes + 1, size - 1);
  switch (Form(bytes[0] % forms)) {
    case text_form: return fuzz_one([&] { read(input_file(input, "input.txt")); });
    case jsonl_form: return fuzz_one([&] { read(input_file(input, "input.jsonl")); });
    case html_form: return fuzz_one([&] { read(input_file(input, "input.html")); });
    default: break;
  }
  input_file(input, "Rdata.rdb");
  const std::string path = input_file(input, "Rdata.rdx");
  return fuzz_one([&] { data::read_r_database(path.substr(0, path.size() - 4)); });
}
