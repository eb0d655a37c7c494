// Progress of work that is counted in pieces, on stderr: a line that redraws itself on a terminal, else a
// plain line every ten seconds.   piqa: 412/1838 documents  ETA 0:31
#pragma once

#include <cstdint>
#include <string>

namespace train {

class CountProgress {
 public:
  CountProgress(std::string task, std::string pieces, int64_t total);
  ~CountProgress();
  CountProgress(const CountProgress&) = delete;
  CountProgress& operator=(const CountProgress&) = delete;

  /// `done` pieces in all, which are `share` of the work.
  void update(int64_t done, double share);

 private:
  std::string task_, pieces_;
  int64_t total_;
  bool terminal_, drawn_ = false;
  double started_, last_;
};

}  // namespace train
