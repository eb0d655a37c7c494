// Progress for people, on stderr: a bar that redraws itself on a terminal, else a plain line now and then.
//
//   ━━━━━━━━━━╸─────────  52%  step 1040/2000  loss 1.9230  ppl 6.84  12.3k tok/s  MFU 31%  ETA 1:02
#pragma once

#include <cstdint>
#include <string>

namespace train {

/// What a line shows. `done` is the share of the budget that is spent, in [0, 1]; it drives bar and ETA.
struct ProgressState {
  int64_t step = 0, total_steps = 0;  // total 0: unknown (a time or token budget)
  double done = 0;
  double loss = 0;  // nats a token
  bool perplexity = true;  // whether exp(loss) means something
  double tokens_per_second = 0;
  double mfu = 0;            // model FLOPs a second over the processor's peak; 0: unknown
  double elapsed = 0;        // seconds of training, this run of the program
  double done_at_start = 0;  // `done` when this run of the program began (above 0 after --resume)
};

/// Seconds left if the run goes on as it went; NaN while nothing is done.
double eta_seconds(const ProgressState& state);

/// "loss 1.9230  ppl 6.84".
std::string loss_text(double loss, bool with_perplexity = true);
/// The line without a bar, and with one that fills `width` columns; `unicode` chooses the bar's characters. A
/// bar in fewer than 100 columns leaves MFU out.
std::string progress_line(const ProgressState& state);
std::string progress_bar(const ProgressState& state, int width, bool unicode);

class Progress {
 public:
  /// `every`: updates between plain lines when stderr is no terminal, where they are more than two seconds apart;
  /// the first update and the end have one in any case. `silent`: says nothing at all, as ranks do whose words
  /// rank 0 has already.
  explicit Progress(int64_t every, bool silent = false);
  ~Progress() { finish(); }

  /// After an update. On a terminal it redraws at most ten times a second.
  void update(const ProgressState& state);
  /// A line that stays, printed above the bar ("step 500: valid loss 1.712").
  void note(const std::string& line);
  /// Leaves the bar as it stands; later output begins on a new line.
  void finish();

 private:
  int64_t every_;
  bool silent_, terminal_, unicode_;
  double last_drawn_ = -1;
  bool begun_ = false;
  std::string shown_;
};

}  // namespace train
