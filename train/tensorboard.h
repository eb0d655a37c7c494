// TensorBoard event files: scalars, histograms, texts and hyperparameters in protobuf records with masked CRC-32C
// framing, as the real TensorBoard reads them.
//
// A resumed run opens a new file that begins with a session start, upon which TensorBoard drops what the
// earlier files hold from that step on.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/append_file.h"
#include "engine/base/json.h"

namespace train {

class EventWriter {
 public:
  /// Creates events.out.tfevents.TIME.HOST.PID in `folder`. `first_step`: what this file's run begins at; 0:
  /// from the start.
  EventWriter(const std::string& folder, int64_t first_step);

  /// Writes the numbers of one metrics.jsonl record: "loss" as train/loss, "valid_loss" as valid/loss,
  /// element i of the array "layers" as layers/NAME/i, means of "gains" as gains/NAME/i, "sample" as a text. Null
  /// (a NaN in JSON) is written as NaN.
  void write(const engine::Json& record);
  /// The distribution of some values, in 30 buckets of equal width.
  void histogram(const std::string& tag, int64_t step, const std::vector<double>& values);
  /// A page of text, in Markdown.
  void text(const std::string& tag, int64_t step, const std::string& markdown);
  /// A config's keys for the table of hyperparameters, and as a text.
  void hyperparameters(const engine::Json& config);

  /// Where the records go: its path(), trouble() and finish().
  engine::AppendFile& file() { return *file_; }

 private:
  std::unique_ptr<engine::AppendFile> file_;
  std::string folder_;
};

/// One record of an event file: length, masked checksum of the length, data, masked checksum of the data.
std::string frame_record(const std::string& data);

}  // namespace train
