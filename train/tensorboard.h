// TensorBoard event files: scalars in protobuf records with masked CRC-32C framing, as the real TensorBoard
// reads them.
//
// A resumed run opens a new file that begins with a session start, upon which TensorBoard drops what the
// earlier files hold from that step on.
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/json.h"

namespace train {

class EventWriter {
 public:
  /// Creates events.out.tfevents.TIME.HOST.PID in `folder`. `first_step`: what this file's run begins at; 0:
  /// from the start.
  EventWriter(const std::string& folder, int64_t first_step);
  ~EventWriter();
  EventWriter(const EventWriter&) = delete;
  EventWriter& operator=(const EventWriter&) = delete;

  /// Writes the numbers of one metrics.jsonl record: "loss" as train/loss, "valid_loss" as valid/loss,
  /// element i of the array "layers" as layers/NAME/i. Null (a NaN in JSON) is written as NaN.
  void write(const engine::Json& record);
  void flush();

  const std::string& path() const { return path_; }

 private:
  std::string path_;
  int fd_ = -1;
  std::string buffer_;
};

/// One record of an event file: length, masked checksum of the length, data, masked checksum of the data.
std::string frame_record(const std::string& data);

}  // namespace train
