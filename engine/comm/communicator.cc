// Read first: communicator.h.
#include "engine/comm/communicator.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <new>

#include "engine/base/check.h"
#include "engine/base/stop.h"
#include "engine/base/text.h"
#include "engine/base/thread.h"

namespace engine {
namespace {

constexpr int kLastWords = 5;       // seconds that ending all ranks may take
constexpr int kLongestStart = 600;  // and that all of them may take to find each other

}  // namespace

// -------------------------------------------------------------------------------- the thread

Communicator::Communicator(const std::function<std::unique_ptr<Transport>()>& open) {
  thread_ = start_thread([this, open] { run(open); });
  {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::seconds(kLongestStart), [&] { return opened_; })) {
      // Nothing can be asked to stop waiting; the launcher ends the other ranks.
      std::fprintf(stderr, "a rank: the others did not come to the start within %d s\n", kLongestStart);
      ::_exit(1);
    }
    if (!open_error_) place_ = transport_->place();
  }
  if (open_error_) {
    thread_.join();
    std::rethrow_exception(open_error_);
  }
  try {
    hosts_ = gather(place_.host);
  } catch (...) {
    end();
    throw;
  }
}

Communicator::~Communicator() { end(); }

void Communicator::end() {
  if (!thread_.joinable()) return;
  if (!finished_) abort(1);
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

void Communicator::run(const std::function<std::unique_ptr<Transport>()>& open) {
  {
    std::unique_ptr<Transport> opened;
    std::exception_ptr error;
    try {
      opened = open();
    } catch (...) {
      error = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    transport_ = std::move(opened), open_error_ = error, opened_ = true;
    changed_.notify_all();
    if (error) return;
  }
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return ending_ || worked_ < next_; });
    if (worked_ == next_) break;
    Job* job = &jobs_[jobs_.size() - size_t(next_ - worked_)];
    const bool check = options_.check;
    lock.unlock();
    std::exception_ptr error;
    try {
      if (check) compare(*job);
      job->work(*transport_);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    job->error = error, job->done = true;
    ++worked_;
    changed_.notify_all();
  }
  transport_.reset();
}

int64_t Communicator::start(Job job) {
  const std::lock_guard lock(mutex_);
  job.number = next_++;
  jobs_.push_back(std::move(job));
  changed_.notify_all();
  return next_ - 1;
}

void Communicator::wait(int64_t number) {
  if (size() == 1) return;
  Job job;
  {
    std::unique_lock lock(mutex_);
    // Jobs that were waited for before an earlier one stay until that one is.
    const auto find = [&]() -> Job* {
      for (Job& j : jobs_)
        if (j.number == number) return &j;
      return nullptr;
    };
    if (find() == nullptr) return;
    const auto wait_for = std::chrono::duration<double>(options_.timeout);
    if (!changed_.wait_for(lock, wait_for, [&] { return find()->done; })) {
      const Job late = jobs_[jobs_.size() - size_t(next_ - worked_)];  // the one that the thread is at
      lock.unlock();
      time_out(late);
    }
    job = *find();
    find()->after = nullptr, find()->work = nullptr, find()->done_on_device = nullptr, find()->number = -1;
    while (!jobs_.empty() && jobs_.front().number == -1) jobs_.pop_front();
  }
  if (job.error) std::rethrow_exception(job.error);
  if (job.done_on_device) wait_for_device(job);
  if (job.after) job.after();
}

void Communicator::wait_for_device(const Job& job) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration<double>(options_.timeout);
  while (!job.done_on_device()) {
    if (Clock::now() > end) time_out(job);
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
}

void Communicator::time_out(const Job& job) {
  std::string moment;
  double seconds = 0;
  {
    const std::lock_guard lock(mutex_);
    moment = moment_, seconds = options_.timeout;
  }
  const std::string words = join_text(
      name_of(rank()), moment.empty() ? "" : ", " + moment, ": the others did not come to ", job.kind,
      " of \"", job.label, "\" (collective ", job.number, ", ", job.count, " ", job.dtype, ") within ",
      seconds, " s (parallel.timeout); the rank that says nothing like this is the one to look at");
  std::fprintf(stderr, "%s\n", message_line(words).c_str());
  abort(1);
  throw RankError(1, "");
}

/// What the ranks are about to do, as one number each; told apart in words only when they differ.
void Communicator::compare(const Job& job) {
  std::string mine =
      join_text(job.kind, " number ", job.number, " of ", job.count, " ", job.dtype, " (", job.label, ")");
  constexpr size_t kWidth = 160;
  mine.resize(kWidth - 1);
  mine += '\0';
  std::string all(kWidth * size_t(size()), '\0');
  std::copy(mine.begin(), mine.end(), all.begin() + int64_t(kWidth) * rank());
  std::vector<int64_t> bounds;
  for (int r = 0; r <= size(); ++r) bounds.push_back(int64_t(kWidth) * r);
  transport_->all_gather(all.data(), bounds.data());
  for (int r = 1; r < size(); ++r) {
    const auto text = [&](int rank) { return std::string(all.c_str() + kWidth * size_t(rank)); };
    if (text(r) == text(0)) continue;
    throw RankError(1, rank() == 0 ? join_text(name_of(r), " is at another collective than rank 0: ", text(r),
                                               ", not ", text(0))
                                   : "");
  }
}

void Communicator::set_options(const CommunicatorOptions& options) {
  const std::lock_guard lock(mutex_);
  options_ = options;
}

void Communicator::set_moment(const std::string& moment) {
  const std::lock_guard lock(mutex_);
  moment_ = moment;
}

void Communicator::carry(Device device, std::unique_ptr<Transport> transport) {
  device_ = device, by_device_ = std::move(transport);
}

std::string Communicator::name_of(int rank) const {
  const std::string& host = hosts_[size_t(rank) < hosts_.size() ? size_t(rank) : 0];
  return join_text("rank ", rank, host.empty() ? "" : " (" + host + ")");
}

void Communicator::finish() {
  if (by_device_) by_device_->finish();
  if (thread_.joinable())
    wait(start({.label = "the end", .kind = "finish", .work = [](Transport& t) { t.finish(); }}));
  finished_ = true;
}

void Communicator::abort(int code) {
  if (!thread_.joinable()) return;
  finished_ = true;
  transport_->give_up(code);
  // When the thread waits in a collective it sees that; when it has nothing to do, this is its next job.
  const int64_t job =
      start({.label = "the end", .kind = "abort", .work = [code](Transport& t) { t.abort(code); }});
  std::unique_lock lock(mutex_);
  const bool ended = changed_.wait_for(lock, std::chrono::seconds(kLastWords), [&] { return worked_ > job; });
  if (!ended) ::_exit(code);
}

// ------------------------------------------------------------------------------------------------- bytes

std::vector<std::string> Communicator::gather(const std::string& mine, std::span<const int64_t> known) {
  if (size() == 1) return {mine};
  const size_t n = size_t(size());
  std::vector<int64_t> sizes(known.begin(), known.end());
  if (sizes.empty()) {
    std::string count(sizeof(int64_t), '\0');
    const int64_t bytes = int64_t(mine.size());
    std::memcpy(count.data(), &bytes, sizeof bytes);
    for (const std::string& c : gather(count, std::vector<int64_t>(n, sizeof(int64_t)))) {
      sizes.push_back(0);
      std::memcpy(&sizes.back(), c.data(), sizeof(int64_t));
    }
  }
  check(sizes.size() == n && sizes[size_t(rank())] == int64_t(mine.size()), "gather: ", mine.size(),
        " bytes, which is not what the ranks agreed on");
  std::vector<int64_t> bounds(n + 1, 0);
  for (size_t r = 0; r < n; ++r) bounds[r + 1] = bounds[r] + sizes[r];
  const auto all = std::make_shared<std::string>(size_t(bounds[n]), '\0');
  std::copy(mine.begin(), mine.end(), all->begin() + bounds[size_t(rank())]);
  Job job{.label = "bytes", .kind = "gather", .dtype = "bytes", .count = bounds[n]};
  job.work = [all, bounds](Transport& t) { t.all_gather(all->data(), bounds.data()); };
  wait(start(std::move(job)));
  std::vector<std::string> parts;
  for (size_t r = 0; r < n; ++r) parts.push_back(all->substr(size_t(bounds[r]), size_t(sizes[r])));
  return parts;
}

std::string Communicator::from_root(const std::string& bytes) {
  if (size() == 1) return bytes;
  const std::string mine = rank() == 0 ? bytes : "";
  return gather(mine)[0];
}

int64_t Communicator::from_root(int64_t number) {
  std::string bytes(sizeof number, '\0');
  std::memcpy(bytes.data(), &number, sizeof number);
  bytes = gather(bytes, std::vector<int64_t>(size_t(size()), sizeof number))[0];
  std::memcpy(&number, bytes.data(), sizeof number);
  return number;
}

double Communicator::from_root(double number) {
  int64_t bits;
  std::memcpy(&bits, &number, sizeof bits);
  bits = from_root(bits);
  std::memcpy(&number, &bits, sizeof bits);
  return number;
}

// ------------------------------------------------------------------------------------------------- errors

Communicator::Trouble Communicator::current_trouble() {
  try {
    throw;
  } catch (const RankError& e) {
    return {e.code, e.what()};
  } catch (const Error& e) {
    return {2, e.what()};
  } catch (const Stopped&) {
    return {kStopped, "stopped"};
  } catch (const std::bad_alloc&) {
    return {1, "out of memory"};
  } catch (const std::runtime_error& e) {
    return {1, e.what()};
  } catch (const std::exception& e) {
    return {1, std::string("internal error: ") + e.what()};
  } catch (...) {
    return {1, "internal error"};
  }
}

void Communicator::agree(const std::function<void()>& work) {
  if (size() == 1) return work();
  Trouble mine;
  try {
    work();
  } catch (...) {
    mine = current_trouble();
    mine.words = message_line(mine.words);
  }
  const char code = char(mine.code);
  std::vector<Trouble> all;
  for (const std::string& bytes : gather(std::string(1, code) + mine.words))
    all.push_back({int(uint8_t(bytes[0])), bytes.substr(1)});
  end_if_any(all);
}

void Communicator::end_if_any(const std::vector<Trouble>& all) const {
  const Trouble* first = nullptr;
  bool everyone = true;
  for (const Trouble& t : all) {
    if (t.code != 0 && first == nullptr) first = &t;
    everyone = everyone && t.code == all[0].code && t.words == all[0].words;
  }
  if (first == nullptr) return;
  const std::string where = everyone ? "" : name_of(int(first - all.data())) + ": ";
  throw RankError(first->code, rank() == 0 ? where + first->words : "");
}

void Communicator::check_same(const std::string& what, const std::string& text) {
  if (size() == 1) return;
  const std::vector<std::string> all = gather(text);
  std::vector<Trouble> troubles(all.size());
  const auto shown = [&](size_t r) { return all[r].size() <= 120 ? ": " + all[r] : std::string(); };
  for (size_t r = 1; r < all.size(); ++r)
    if (all[r] != all[0])
      troubles[r] = {2, join_text("has another ", what, " than rank 0", shown(r),
                                  shown(0).empty() ? "" : ", not" + shown(0).substr(1))};
  end_if_any(troubles);
}

}  // namespace engine
