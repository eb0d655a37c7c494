// Read first: tensorboard.h.
#include "train/tensorboard.h"

#include <fcntl.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>

#include "engine/base/check.h"
#include "engine/base/crc32c.h"
#include "engine/base/file.h"
#include "train/event.pb.h"

namespace train {
namespace {

using engine::Json;
namespace pb = normlab::tensorboard;

double now() {
  timeval t{};
  ::gettimeofday(&t, nullptr);
  return double(t.tv_sec) + double(t.tv_usec) * 1e-6;
}

template <class Integer>
void append_little_endian(std::string& out, Integer x) {
  for (size_t i = 0; i < sizeof x; ++i) out += char(uint8_t(x >> (8 * i)));
}

/// TFRecord's mask, so that a checksum of data that holds checksums is not degenerate.
uint32_t masked_crc(const void* data, size_t bytes) {
  const uint32_t crc = engine::crc32c(data, bytes);
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

/// "valid_loss" -> "valid/loss", "loss" -> "train/loss".
std::string tag_of(const std::string& key) {
  return key.rfind("valid_", 0) == 0 ? "valid/" + key.substr(6) : "train/" + key;
}

void add_scalar(pb::Summary& summary, const std::string& tag, const Json& value) {
  if (!value.is_number() && !value.is_null()) return;
  pb::Summary::Value* v = summary.add_value();
  v->set_tag(tag);
  v->set_simple_value(value.is_null() ? std::nanf("") : value.get<float>());
}

/// False when the name is taken.
bool create_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  engine::check(fd >= 0 || errno == EEXIST, path, ": cannot create (", std::strerror(errno), ")");
  if (fd >= 0) ::close(fd);
  return fd >= 0;
}

}  // namespace

std::string frame_record(const std::string& data) {
  std::string out;
  append_little_endian(out, uint64_t(data.size()));
  append_little_endian(out, masked_crc(out.data(), 8));
  out += data;
  append_little_endian(out, masked_crc(data.data(), data.size()));
  return out;
}

EventWriter::EventWriter(const std::string& folder, int64_t first_step) {
  engine::make_directories(folder);
  char host[256] = "localhost";
  ::gethostname(host, sizeof host - 1);
  const std::string stem =
      engine::join_text(folder, "/events.out.tfevents.", int64_t(now()), ".", host, ".", ::getpid());
  std::string path = stem;
  // Two writers in one second of one process: a counter tells them apart.
  for (int again = 1; !create_file(path); ++again) path = stem + "." + std::to_string(again);
  file_ = std::make_unique<engine::AppendFile>(path, 0);
  pb::Event event;
  event.set_wall_time(now());
  event.set_file_version("brain.Event:2");
  file_->write(frame_record(event.SerializeAsString()));
  if (first_step > 0) {
    event.set_step(first_step);
    event.mutable_session_log()->set_status(pb::SessionLog::START);
    file_->write(frame_record(event.SerializeAsString()));
  }
}

void EventWriter::write(const Json& record) {
  pb::Event event;
  event.set_wall_time(now());
  event.set_step(record.value("step", int64_t(0)));
  pb::Summary& summary = *event.mutable_summary();
  for (const auto& [key, value] : record.items()) {
    if (key == "step") continue;
    if (key != "layers" || !value.is_array()) {
      add_scalar(summary, tag_of(key), value);
      continue;
    }
    for (const Json& layer : value)
      for (const auto& [name, number] : layer.items())
        if (name != "layer")
          add_scalar(summary, "layers/" + name + "/" + engine::json_text(layer.value("layer", Json(0))),
                     number);
  }
  if (summary.value_size() == 0) return;
  file_->write(frame_record(event.SerializeAsString()));
}

}  // namespace train
