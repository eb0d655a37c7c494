// Read first: rank_threads.h.
#include "engine/comm/rank_threads.h"

#include <cstring>

#include "engine/base/thread.h"

namespace engine {
namespace {

/// Thrown in ranks that another one's abort() ends.
struct Aborted : std::runtime_error {
  Aborted() : std::runtime_error("another rank ended the run") {}
};

/// Where the ranks meet: each collective is two meetings, between which they read each other's memory.
class Meeting {
 public:
  explicit Meeting(int ranks) : posts_(size_t(ranks)) {}

  struct Post {
    const char* bytes = nullptr;
    const int64_t* offsets = nullptr;
  };
  /// Returns when every rank is here, or throws when one was given up. `given_up`: looked at while it waits.
  template <class GivenUp>
  void meet(const GivenUp& given_up) {
    std::unique_lock lock(mutex_);
    if (aborted_) throw Aborted();
    const int64_t round = round_;
    if (++here_ == int(posts_.size())) {
      here_ = 0, ++round_;
      changed_.notify_all();
    }
    while (round_ == round && !aborted_) {
      if (given_up()) aborted_ = true, changed_.notify_all();
      changed_.wait_for(lock, std::chrono::milliseconds(20));
    }
    if (round_ == round) throw Aborted();
  }
  /// The second meeting: all ranks came to the first one, and come to this one as soon as they have read what
  /// the others must not give up before.
  void part() {
    std::unique_lock lock(mutex_);
    const int64_t round = round_;
    if (++here_ == int(posts_.size())) {
      here_ = 0, ++round_;
      changed_.notify_all();
    }
    changed_.wait(lock, [&] { return round_ != round; });
  }
  void post(int rank, const Post& post) {
    const std::lock_guard lock(mutex_);
    posts_[size_t(rank)] = post;
  }
  Post posted(int rank) {
    const std::lock_guard lock(mutex_);
    return posts_[size_t(rank)];
  }
  void abort() {
    const std::lock_guard lock(mutex_);
    aborted_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Post> posts_;
  int here_ = 0;
  int64_t round_ = 0;
  bool aborted_ = false;
};

class ThreadTransport final : public Transport {
 public:
  ThreadTransport(Meeting& meeting, const Place& place) : meeting_(meeting) { place_ = place; }

  void all_to_all(const char* send, const int64_t* to, char* receive, const int64_t* from) override {
    exchange({send, to}, [&](int r, const Meeting::Post& post) {
      const int64_t begin = post.offsets[place_.rank];
      copy(receive + from[r], post.bytes + begin, post.offsets[place_.rank + 1] - begin);
    });
  }
  void all_gather(char* all, const int64_t* bounds) override {
    exchange({all, bounds}, [&](int r, const Meeting::Post& post) {
      if (r != place_.rank) copy(all + bounds[r], post.bytes + post.offsets[r], bounds[r + 1] - bounds[r]);
    });
  }
  void broadcast(char* bytes, int64_t count, int root) override {
    exchange({bytes, nullptr}, [&](int r, const Meeting::Post& post) {
      if (r == root && r != place_.rank) copy(bytes, post.bytes, count);
    });
  }
  void finish() override { meet(); }
  void abort(int) override { meeting_.abort(); }

 private:
  void meet() {
    meeting_.meet([&] { return given_up() >= 0; });
  }
  template <class Read>
  void exchange(const Meeting::Post& post, const Read& read) {
    meeting_.post(place_.rank, post);
    meet();
    for (int r = 0; r < place_.size; ++r) read(r, meeting_.posted(r));
    meeting_.part();
  }
  static void copy(char* to, const char* from, int64_t n) {
    if (n > 0) std::memcpy(to, from, size_t(n));
  }

  Meeting& meeting_;
};

}  // namespace

void run_rank_threads(int ranks, const std::function<void(Communicator&)>& work, int local) {
  if (local == 0) local = ranks;
  Meeting meeting(ranks);
  std::vector<std::exception_ptr> errors{size_t(ranks)};
  std::vector<std::thread> threads;
  const auto one = [&](int rank) {
    try {
      Communicator communicator([&] {
        const Place place{rank, ranks, rank % local, local, join_text("thread", rank / local)};
        return std::make_unique<ThreadTransport>(meeting, place);
      });
      try {
        work(communicator);
      } catch (const RankError&) {
        communicator.finish();
        throw;
      }
      communicator.finish();
    } catch (...) {
      errors[size_t(rank)] = std::current_exception();
    }
  };
  for (int rank = 0; rank < ranks; ++rank) threads.push_back(start_thread([&, rank] { one(rank); }));
  for (std::thread& thread : threads) thread.join();
  std::exception_ptr ended;
  for (const std::exception_ptr& error : errors) {
    if (!error) continue;
    try {
      std::rethrow_exception(error);
    } catch (const Aborted&) {
      if (!ended) ended = error;
    } catch (...) {
      throw;
    }
  }
  if (ended) std::rethrow_exception(ended);
}

}  // namespace engine
