// Read first: tensorboard.h.
#include "train/tensorboard.h"

#include <fcntl.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "data/utf8_stream.h"
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

constexpr int kText = 7, kTensorClass = 2;  // TensorFlow's DT_STRING and DATA_CLASS_TENSOR

void add_text(pb::Summary& summary, const std::string& tag, const std::string& text) {
  pb::Summary::Value* v = summary.add_value();
  v->set_tag(tag);
  v->mutable_metadata()->mutable_plugin_data()->set_plugin_name("text");
  v->mutable_metadata()->set_data_class(kTensorClass);
  v->mutable_tensor()->set_dtype(kText);
  v->mutable_tensor()->mutable_tensor_shape()->add_dim()->set_size(1);
  v->mutable_tensor()->add_string_val(text);
}

/// "a.b" -> value for every leaf of a config.
void leaves(const Json& json, const std::string& path, std::vector<std::pair<std::string, Json>>& out) {
  if (!json.is_object()) return void(out.emplace_back(path, json));
  for (const auto& [key, value] : json.items()) leaves(value, path.empty() ? key : path + "." + key, out);
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

EventWriter::EventWriter(const std::string& folder, int64_t first_step) : folder_(folder) {
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
    if (key == "sample" && value.is_string()) {
      add_text(summary, "sample", value.get<std::string>());
      continue;
    }
    if (key == "gains" && value.is_array()) {
      for (const Json& gain : value)
        if (gain.is_object() && gain.contains("name"))
          add_scalar(summary,
                     "gains/" + gain["name"].get<std::string>() + "/" +
                         engine::json_text(gain.value("layer", Json(0))),
                     gain.value("mean", Json()));
      continue;
    }
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

void EventWriter::histogram(const std::string& tag, int64_t step, const std::vector<double>& values) {
  std::vector<double> finite;
  for (const double x : values)
    if (std::isfinite(x)) finite.push_back(x);
  if (finite.empty()) return;
  const auto [low, high] = std::minmax_element(finite.begin(), finite.end());
  constexpr int buckets = 30;
  const double width = *high > *low ? (*high - *low) / buckets : 1e-12;
  pb::Event event;
  event.set_wall_time(now());
  event.set_step(step);
  pb::Summary::Value* v = event.mutable_summary()->add_value();
  v->set_tag(tag);
  pb::Histogram& h = *v->mutable_histo();
  std::vector<double> counts(buckets, 0);
  double sum = 0, squares = 0;
  for (const double x : finite) {
    counts[size_t(std::min(buckets - 1, int((x - *low) / width)))] += 1;
    sum += x, squares += x * x;
  }
  h.set_min(*low), h.set_max(*high), h.set_num(double(finite.size())), h.set_sum(sum),
      h.set_sum_squares(squares);
  for (int i = 0; i < buckets; ++i) {
    h.add_bucket_limit(i + 1 == buckets ? *low + buckets * width : *low + (i + 1) * width);
    h.add_bucket(counts[size_t(i)]);
  }
  file_->write(frame_record(event.SerializeAsString()));
}

void EventWriter::text(const std::string& tag, int64_t step, const std::string& markdown) {
  pb::Event event;
  event.set_wall_time(now());
  event.set_step(step);
  add_text(*event.mutable_summary(), tag, markdown);
  file_->write(frame_record(event.SerializeAsString()));
}

void EventWriter::hyperparameters(const Json& config) {
  std::vector<std::pair<std::string, Json>> keys;
  leaves(config, "", keys);
  pb::Hyperparameters content;
  pb::Hyperparameters::SessionStart& start = *content.mutable_session_start_info();
  std::string table = "| key | value |\n|---|---|\n";
  for (const auto& [key, value] : keys) {
    table += "| " + key + " | " + (value.is_string() ? value.get<std::string>() : engine::json_text(value)) +
             " |\n";
    pb::Hyperparameters::Value& v = (*start.mutable_hparams())[key];
    if (value.is_boolean())
      v.set_bool_value(value.get<bool>());
    else if (value.is_number())
      v.set_number_value(value.get<double>());
    else
      v.set_string_value(value.is_string() ? data::well_formed(value.get<std::string>())
                                           : engine::json_text(value));
  }
  start.set_group_name(
      data::well_formed(folder_));  // protobuf's texts are UTF-8, names of folders need not be
  start.set_start_time_secs(now());
  pb::Event event;
  event.set_wall_time(now());
  pb::Summary::Value* v = event.mutable_summary()->add_value();
  v->set_tag("_hparams_/session_start_info");
  v->mutable_metadata()->mutable_plugin_data()->set_plugin_name("hparams");
  v->mutable_metadata()->mutable_plugin_data()->set_content(content.SerializeAsString());
  v->mutable_metadata()->set_data_class(kTensorClass);
  v->mutable_tensor()->set_dtype(1);  // a float that nobody reads, of no elements
  file_->write(frame_record(event.SerializeAsString()));
  text("config", 0, table);
}

}  // namespace train
