// Communicator: the collectives that training on several ranks needs, over any transport, and the one rank of
// a program by itself.
//
// A rank is one worker with a copy of the model. For a single rank every collective is the identity, bit for
// bit, so there is no `if (distributed)` in what calls it. Collectives are jobs in a queue, worked through in
// program order by one thread, which makes every call of the transport: so a collective overlaps with what
// the caller computes, and two ranks never have their calls in different orders. start_*() returns the job's
// number, wait() ends when it is done; the other collectives do both. The thread does not use the pool of
// engine/cpu: whoever came second would run on one core.
//
// Every rank calls the same collectives in the same order with the same sizes and dtypes; CommunicatorOptions
// has `check`, which compares. A tensor on a device is copied to the host when its job starts, and back when
// it is waited for; unless the device has a transport of its own (carry(), nccl.h), whose work goes to the
// device's side queue when the job starts. Sums are formed as tree_sum.h says, the same bits on every rank and transport.
// Read first: transport.h, tree_sum.h. Then: world.h (the ranks of a launcher), rank_threads.h (ranks that
// are threads).
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "engine/comm/transport.h"
#include "engine/core/tensor.h"

namespace engine {

/// An error that all ranks know of and end with. Only rank 0's has words: it is said once.
struct RankError : std::runtime_error {
  RankError(int exit_code, const std::string& words) : std::runtime_error(words), code(exit_code) {}
  int code;
};

struct CommunicatorOptions {
  double timeout = 600;  // seconds that a rank waits for a collective before it names it and ends all ranks
  bool check = false;    // compare every collective over the ranks before it is done
};

enum class Gathered { own_part, all };

class Communicator {
 public:
  /// One rank by itself.
  Communicator() = default;
  /// `open` is called in the communicator's own thread. What it throws is thrown here.
  explicit Communicator(const std::function<std::unique_ptr<Transport>()>& open);
  /// A communicator that was not finished ends all ranks: they would wait for this one for ever.
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  int rank() const { return place_.rank; }  // 0 <= rank < size
  int size() const { return place_.size; }
  const Place& place() const { return place_; }
  void set_options(const CommunicatorOptions& options);
  /// For messages: what the ranks are at ("update 17").
  void set_moment(const std::string& moment);
  /// From now on tensors on `device`, which has a side queue, travel by this transport.
  void carry(Device device, std::unique_ptr<Transport> transport);

  // --- tensors. `bounds`: size() + 1 offsets; elements [bounds[r], bounds[r + 1]) of a flat tensor are rank
  // r's part.

  /// Sums `source` over all ranks into `target`, which may be the same tensor or have another floating dtype:
  /// this rank's part of it alone, or all of it.
  int64_t start_sum(const Tensor& source, const Tensor& target, std::span<const int64_t> bounds,
                    Gathered gathered, const char* label);
  /// In place: every rank gets every rank's part.
  int64_t start_all_gather(const Tensor& values, std::span<const int64_t> bounds, const char* label);
  void wait(int64_t job);

  void all_gather(const Tensor& values, std::span<const int64_t> bounds, const char* label = "values") {
    wait(start_all_gather(values, bounds, label));
  }
  /// In place: every rank gets the sum over all ranks.
  void all_reduce(const Tensor& values);
  /// In place: every rank gets the values of rank `root`.
  void broadcast(const Tensor& values, int root = 0);
  /// In place: rank 0 gets every rank's part.
  void gather_to_root(const Tensor& values, std::span<const int64_t> bounds);
  /// In place: every rank gets its own part of what rank 0 has.
  void scatter_from_root(const Tensor& values, std::span<const int64_t> bounds);

  // --- bytes

  /// Every rank's bytes, in the order of ranks. `sizes`: how many each rank sends, when that is known.
  std::vector<std::string> gather(const std::string& mine, std::span<const int64_t> sizes = {});
  /// Rank 0's bytes.
  std::string from_root(const std::string& bytes);
  int64_t from_root(int64_t number);
  double from_root(double number);
  void barrier() { gather({}, std::vector<int64_t>(size_t(size()), 0)); }

  // --- errors

  /// Runs `work` on every rank. What it throws on some of them ends all: the message of the lowest one, with
  /// its rank and machine, is what rank 0's RankError says; the code is 2 for an Error, kStopped for Stopped,
  /// else 1. With one rank, what it throws passes as it is.
  void agree(const std::function<void()>& work);
  /// The same of errors that are known already: one a rank, "" for none. Returns when nobody has one.
  static constexpr int kStopped = 130;
  struct Trouble {
    int code = 0;
    std::string words;
  };
  void end_if_any(const std::vector<Trouble>& of_ranks) const;
  /// The exception that is being handled, as one.
  static Trouble current_trouble();
  /// Error on all ranks unless all have the same `text`; `what` names it.
  void check_same(const std::string& what, const std::string& text);

  /// The orderly end of all ranks, after which only the destructor may follow.
  void finish();
  /// Ends every rank with this exit code.
  void abort(int code);

 private:
  struct Job {
    std::string label;
    int64_t number = 0;
    const char* kind = "";
    std::string dtype;
    int64_t count = 0;
    std::function<void(Transport&)> work;
    std::function<bool()> done_on_device;  // asked until it is so, by the thread that waits
    std::function<void()> after;           // in the thread that waits
    bool done = false;
    std::exception_ptr error;
  };
  void end();  // of the thread
  int64_t start(Job job);
  void run(const std::function<std::unique_ptr<Transport>()>& open);
  void compare(const Job& job);
  void wait_for_device(const Job& job);
  bool carried(const Tensor& tensor) const { return by_device_ != nullptr && tensor.device() == device_; }
  /// Starts what `move` asks of the device's transport. `held` must live until it is done.
  int64_t start_on_device(Job job, const std::vector<std::function<void(Transport&)>>& moves,
                          std::vector<Tensor> held);
  int64_t start_sum_on_device(const Tensor& source, const Tensor& target, std::span<const int64_t> bounds,
                              Gathered gathered, Job job);
  [[noreturn]] void time_out(const Job& job);
  std::string name_of(int rank) const;
  void check_parts(const char* what, const Tensor& values, std::span<const int64_t> bounds) const;

  Place place_;
  std::vector<std::string> hosts_{""};
  CommunicatorOptions options_;
  std::string moment_;
  std::unique_ptr<Transport> transport_;  // of the thread
  std::vector<char> scratch_;             // of the thread, kept: fresh pages would cost more than the sums
  Device device_ = Device::cpu;
  std::unique_ptr<Transport> by_device_;  // null: through the host's memory
  Tensor received_, widened_;             // on the device, kept as scratch_ is
  std::thread thread_;
  std::mutex mutex_;  // of all that follows, options_ and moment_
  std::condition_variable changed_;
  std::deque<Job> jobs_;  // not yet waited for, by number
  int64_t next_ = 0;      // number of the next job to be started
  int64_t worked_ = 0;    // jobs that the thread has finished
  bool opened_ = false, ending_ = false, finished_ = false;
  std::exception_ptr open_error_;
};

/// Even parts of `count` elements for each of `ranks`, as bounds.
std::vector<int64_t> even_parts(int64_t count, int ranks);

}  // namespace engine
