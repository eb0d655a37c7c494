// Read first: metrics.h.
#include "train/metrics.h"

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "engine/base/log.h"

namespace train {
namespace {

using engine::check;
using engine::Json;

constexpr size_t max_file = size_t(4) << 30;

/// Calls visit(line, name of the line for messages) for every whole line; a last one without its end was cut
/// off.
template <class Visit>
void for_each_line(const std::string& text, const std::string& path, const Visit& visit) {
  size_t start = 0;
  for (int64_t line = 1; start < text.size(); ++line) {
    const size_t end = text.find('\n', start);
    if (end == std::string::npos) return;
    visit(text.substr(start, end + 1 - start), engine::join_text(path, ":", line));
    start = end + 1;
  }
}

Json parse_record(const std::string& line, const std::string& what) {
  Json record = engine::parse_json(line, what);
  check(record.is_object() && record.contains("step") && record["step"].is_number_integer(), what,
        ": expected an object with an integer \"step\"");
  return record;
}

/// The lines that a run resumed at `step` goes on from.
struct KeptLines {
  std::string text;
  int64_t damaged = 0;
  std::string first_error;
};

KeptLines lines_until(int64_t step, const std::string& text, const std::string& path) {
  KeptLines kept;
  bool past = false;
  for_each_line(text, path, [&](const std::string& line, const std::string& what) {
    if (past) return;
    try {
      past = parse_record(line, what)["step"].get<int64_t>() > step;
      if (!past) kept.text += line;
    } catch (const engine::Error& e) {
      if (kept.damaged++ == 0) kept.first_error = e.what();
    }
  });
  return kept;
}

}  // namespace

MetricsLog::MetricsLog(const std::string& path, int64_t resume_step) {
  KeptLines kept;
  if (resume_step > 0 && engine::file_exists(path)) {
    const std::string text = engine::read_file(path, max_file);
    kept = lines_until(resume_step, text, path);
    if (kept.damaged > 0) {
      engine::write_file(path + ".damaged", text);
      engine::log_warning(kept.first_error, "; damaged lines are left out (", kept.damaged,
                          "), the file as it was is now ", path, ".damaged");
      engine::write_file(path, kept.text);
    }
  }
  file_ = std::make_unique<engine::AppendFile>(path, kept.text.size());
  empty_ = kept.text.empty();
}

void MetricsLog::write(const Json& record) {
  check(record.contains("step") && record["step"].is_number_integer(), file_->path(),
        ": a record needs an integer \"step\"");
  file_->write(engine::json_text(record) + "\n");
  empty_ = false;
}

std::vector<Json> read_metrics(const std::string& path) {
  std::vector<Json> out;
  check(engine::file_size(path) <= max_file, path, ": larger than the limit of ", max_file, " bytes");
  // A run that goes on from an older checkpoint may cut the file meanwhile.
  for_each_line(
      engine::read_file_start(path, max_file), path,
      [&](const std::string& line, const std::string& what) { out.push_back(parse_record(line, what)); });
  return out;
}

}  // namespace train
