// Checkpoint folders: RUN/checkpoints/step-00001000, whole or not there at all, and checked when they are
// read.
//
// A folder is filled under a temporary name; commit() flushes its files, writes checkpoint.json (size and
// CRC-32C of each file, the step, the validation loss) and renames it into place. What the files hold is the
// trainer's business. The best and the last checkpoint follow from names and manifests: there is no index
// that could disagree with them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace train {

/// One checkpoint as its manifest describes it.
struct CheckpointInfo {
  std::string folder;
  int64_t step = 0;
  std::optional<double> valid_loss;  // absent when it was not validated
};

class CheckpointWriter {
 public:
  CheckpointWriter(const std::string& run, int64_t step);
  /// Without commit() nothing remains.
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  /// Where to put the files; no sub-folders.
  const std::string& folder() const { return temporary_; }
  /// Makes the checkpoint visible, in place of one of the same step, and returns its folder.
  std::string commit(std::optional<double> valid_loss);

 private:
  std::string run_, temporary_;
  int64_t step_;
};

/// "step-00001000".
std::string checkpoint_name(int64_t step);

/// The run's checkpoints by step, ascending. Folders with a broken manifest are listed with their name's
/// step.
std::vector<CheckpointInfo> list_checkpoints(const std::string& run);

/// An error that names the file unless all files have the manifest's sizes and checksums. The manifest is the
/// answer.
CheckpointInfo verify_checkpoint(const std::string& folder);

/// The newest checkpoint that is intact, with a warning for each damaged one above it; an error when all are
/// damaged; nothing when there are none.
std::optional<CheckpointInfo> checkpoint_to_resume(const std::string& run);

/// For a run that goes on from its checkpoint of step `from`: those above it are damaged, and must count
/// neither among the newest nor as the best when the run has passed them. They become damaged-step-..., which
/// prune_checkpoints() removes when the run has come as far again.
void set_damaged_aside(const std::string& run, int64_t from);

/// The folder that `--model PATH` means: of a run its best checkpoint by validation loss, else its last;
/// otherwise PATH itself. A checkpoint is verified first; the error for a damaged one names the one before
/// it.
std::string resolve_model(const std::string& path);

/// Removes all but the newest `keep` and the `keep_best` best of the checkpoints up to step `newest`, the one
/// just written, and what crashed writers left, and damaged ones up to that step (set_damaged_aside). Later
/// steps were damaged when the run went on from before them: if they counted, a damaged checkpoint would push
/// out the intact ones.
void prune_checkpoints(const std::string& run, int64_t newest, int64_t keep, int64_t keep_best);

/// Removes what writers that were killed left, or finishes it, for the one process that holds the run
/// (run_dir.h).
void clean_checkpoints(const std::string& run);

}  // namespace train
