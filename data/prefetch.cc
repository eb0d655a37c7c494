// Read first: prefetch.h.
#include "data/prefetch.h"

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "engine/base/check.h"
#include "engine/base/thread.h"

namespace data {
namespace {

class Prefetcher : public BatchSource {
 public:
  Prefetcher(std::unique_ptr<BatchSource> source, int depth)
      : source_(std::move(source)), depth_(size_t(depth)), position_(source_->position()) {
    engine::check(depth > 0, "prefetch: depth must be at least 1, got ", depth);
  }
  ~Prefetcher() override { stop(); }

  Batch next() override {
    if (!thread_.joinable()) start();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !ready_.empty() || error_; });
    if (ready_.empty()) std::rethrow_exception(error_);
    Ready out = std::move(ready_.front());
    ready_.pop_front();
    position_ = out.after;
    changed_.notify_all();
    return std::move(out.batch);
  }

  BatchPosition position() const override { return position_; }
  int64_t rows_per_epoch() const override { return source_->rows_per_epoch(); }

  void seek(const BatchPosition& position) override {
    stop();
    source_->seek(position);
    position_ = source_->position();
  }

 private:
  struct Ready {
    Batch batch;
    BatchPosition after;
  };

  void start() {
    stopping_ = false;
    thread_ = engine::start_thread([this] { work(); });
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      changed_.notify_all();
    }
    if (thread_.joinable()) thread_.join();
    ready_.clear();
    error_ = nullptr;
  }

  void work() {
    for (;;) {
      Ready made;
      std::exception_ptr error;
      try {
        made.batch = source_->next();
        made.after = source_->position();
      } catch (...) {
        error = std::current_exception();
      }
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return ready_.size() < depth_ || stopping_; });
      if (stopping_) return;
      if (error)
        error_ = error;
      else
        ready_.push_back(std::move(made));
      changed_.notify_all();
      if (error) return;
    }
  }

  std::unique_ptr<BatchSource> source_;
  size_t depth_;
  BatchPosition position_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Ready> ready_;
  std::exception_ptr error_;
  bool stopping_ = false;
};

}  // namespace

std::unique_ptr<BatchSource> prefetch(std::unique_ptr<BatchSource> source, int depth) {
  return std::make_unique<Prefetcher>(std::move(source), depth);
}

}  // namespace data
