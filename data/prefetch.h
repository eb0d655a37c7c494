// A thread that prepares batches before they are asked for: reads them, and makes of each what its user wants.
// The order and position() are those of the source: what the thread has read ahead is not part of the position,
// so a resumed run loses and repeats nothing.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "data/batches.h"
#include "engine/base/check.h"
#include "engine/base/thread.h"

namespace data {

template <class Item>
class Prefetch {
 public:
  /// Keeps up to `depth` items ready. `make` runs in the thread. An Error there, or in the source, comes out of
  /// the next() that meets it.
  Prefetch(std::unique_ptr<BatchSource> source, std::function<Item(const Batch&)> make, int depth = 4)
      : source_(std::move(source)), make_(std::move(make)), depth_(size_t(depth)), position_(source_->position()) {
    engine::check(depth > 0, "prefetch: depth must be at least 1, got ", depth);
  }
  ~Prefetch() { stop(); }
  Prefetch(const Prefetch&) = delete;
  Prefetch& operator=(const Prefetch&) = delete;

  Item next() {
    if (!thread_.joinable()) start();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !ready_.empty() || error_; });
    if (ready_.empty()) std::rethrow_exception(error_);
    Ready out = std::move(ready_.front());
    ready_.pop_front();
    position_ = out.after;
    changed_.notify_all();
    return std::move(out.item);
  }

  /// After the items that next() has returned.
  BatchPosition position() const { return position_; }
  int64_t rows_per_epoch() const { return source_->rows_per_epoch(); }

  void seek(const BatchPosition& position) {
    stop();
    source_->seek(position);
    position_ = source_->position();
  }

 private:
  struct Ready {
    Item item;
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
        made.item = make_(source_->next());
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
  std::function<Item(const Batch&)> make_;
  size_t depth_;
  BatchPosition position_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Ready> ready_;
  std::exception_ptr error_;
  bool stopping_ = false;
};

}  // namespace data
