// Read first: csv.h.
#include "data/csv.h"

#include "engine/base/check.h"

namespace data {

using engine::check;

bool read_csv_record(const std::string& text, size_t& at, std::vector<std::string>& fields,
                     const std::string& what) {
  fields.clear();
  if (at >= text.size()) return false;
  const size_t start = at;
  for (;;) {
    std::string& field = fields.emplace_back();
    if (at < text.size() && text[at] == '"') {
      for (++at;; ++at) {
        check(at < text.size(), what, ": the quote of the record at byte ", start, " is never closed");
        if (text[at] == '"' && (++at >= text.size() || text[at] != '"')) break;
        field += text[at];
      }
    }
    while (at < text.size() && text[at] != ',' && text[at] != '\n' && text[at] != '\r') field += text[at++];
    if (at >= text.size()) return true;
    const char end = text[at++];
    if (end == ',') continue;
    if (end == '\r' && at < text.size() && text[at] == '\n') ++at;
    return true;
  }
}

}  // namespace data
