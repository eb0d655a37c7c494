// metrics.jsonl: one JSON object a line, in the order of training. The one record of a run that reports,
// tests and people read.
//
// A training line has step, tokens, seconds, loss (nats a token), lr, grad_norm, loss_scale,
// tokens_per_second, mfu and peak_memory (bytes). The run's first line also has what does not change:
// parameters, flops_per_token, peak_flops and mfu_formula, which says how mfu comes from them (a fraction). A
// validation line has step, tokens, seconds, valid_loss, valid_ppl. A sample line has step,
// tokens, seconds and sample, a text that the model wrote. Every log.layers updates a training line
// also has two arrays with an object per layer:
//   layers: layer, grad_norm, weight_norm, update_ratio, activation_rms, w2_grad
//   gains:  layer, name ("ffn.mid_norm.weight"), mean, sd, min, max, rms
// update_ratio is the norm of the step over that of the weights, w2_grad the mean |gradient| of the FFN's
// second matrix. Gradients are those of the mean loss (and of routers' auxiliary losses, where there are
// any), before clipping and without the loss scale. Other numbers may be there. NaN and infinity are null:
// JSON has neither.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/append_file.h"
#include "engine/base/json.h"

namespace train {

class MetricsLog {
 public:
  /// Opens `path` for appending. Lines of steps above `resume_step` and a last line that a crash cut off are
  /// dropped first, so that a run resumed from a checkpoint leaves the file of an uninterrupted one. Lines
  /// that are damaged (a lost power supply leaves zero bytes) go too, with a warning; the file as it was is
  /// then kept as PATH.damaged. A new run passes 0.
  MetricsLog(const std::string& path, int64_t resume_step);

  /// Appends one line; `record` has an integer "step". What the disk does not take is written with a later
  /// line.
  void write(const engine::Json& record);
  /// Where the lines go: its trouble(), sync() and finish().
  engine::AppendFile& file() { return *file_; }
  /// Whether no line is there yet.
  bool empty() const { return empty_; }

 private:
  std::unique_ptr<engine::AppendFile> file_;
  bool empty_ = true;
};

/// Every whole record of a metrics file; a last line that was cut off is left out, any other broken line is
/// an error.
std::vector<engine::Json> read_metrics(const std::string& path);

}  // namespace train
