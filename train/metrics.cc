// Read first: metrics.h.
#include "train/metrics.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "engine/base/check.h"
#include "engine/base/file.h"

namespace train {
namespace {

using engine::check;
using engine::Json;

constexpr size_t max_file = size_t(4) << 30;

/// Calls visit(record, offset of its end) for every whole line until visit returns false.
template <class Visit>
void for_each_record(const std::string& text, const std::string& path, const Visit& visit) {
  size_t start = 0;
  for (int64_t line = 1; start < text.size(); ++line) {
    const size_t end = text.find('\n', start);
    if (end == std::string::npos) return;  // cut off by a crash
    const std::string what = engine::join_text(path, ":", line);
    const Json record = engine::parse_json(text.substr(start, end - start), what);
    check(record.is_object() && record.contains("step") && record["step"].is_number_integer(), what,
          ": expected an object with an integer \"step\"");
    if (!visit(record, end + 1)) return;
    start = end + 1;
  }
}

}  // namespace

MetricsLog::MetricsLog(const std::string& path, int64_t resume_step) : path_(path) {
  size_t keep = 0;
  if (resume_step > 0 && engine::file_exists(path)) {
    for_each_record(engine::read_file(path, max_file), path, [&](const Json& record, size_t end) {
      if (record["step"].get<int64_t>() > resume_step) return false;
      keep = end;
      return true;
    });
  }
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  check(fd_ >= 0, path, ": cannot open (", std::strerror(errno), ")");
  check(::ftruncate(fd_, off_t(keep)) == 0, path, ": cannot truncate (", std::strerror(errno), ")");
  empty_ = keep == 0;
}

MetricsLog::~MetricsLog() { ::close(fd_); }

void MetricsLog::write(const Json& record) {
  check(record.contains("step") && record["step"].is_number_integer(), path_,
        ": a record needs an integer \"step\"");
  const std::string line = record.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  size_t done = 0;
  while (done < line.size()) {
    const ssize_t n = ::write(fd_, line.data() + done, line.size() - done);
    if (n < 0 && errno == EINTR) continue;
    check(n > 0, path_, ": cannot write (", std::strerror(errno), ")");
    done += size_t(n);
  }
  empty_ = false;
}

std::vector<Json> read_metrics(const std::string& path) {
  std::vector<Json> out;
  for_each_record(engine::read_file(path, max_file), path, [&](const Json& record, size_t) {
    out.push_back(record);
    return true;
  });
  return out;
}

}  // namespace train
