// TensorBoard event files: scalars in protobuf records with masked CRC-32C framing, as the real TensorBoard
// reads them.
//
// A resumed run opens a new file that begins with a session start, upon which TensorBoard drops what the
// earlier files hold from that step on.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/base/append_file.h"
#include "engine/base/json.h"

namespace train {

class EventWriter {
 public:
  /// Creates events.out.tfevents.TIME.HOST.PID in `folder`. `first_step`: what this file's run begins at; 0:
  /// from the start.
  EventWriter(const std::string& folder, int64_t first_step);

  /// Writes the numbers of one metrics.jsonl record: "loss" as train/loss, "valid_loss" as valid/loss,
  /// element i of the array "layers" as layers/NAME/i. Null (a NaN in JSON) is written as NaN.
  void write(const engine::Json& record);

  /// Where the records go: its path(), trouble() and finish().
  engine::AppendFile& file() { return *file_; }

 private:
  std::unique_ptr<engine::AppendFile> file_;
};

/// One record of an event file: length, masked checksum of the length, data, masked checksum of the data.
std::string frame_record(const std::string& data);

}  // namespace train
