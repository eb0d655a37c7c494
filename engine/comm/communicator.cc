// Read first: communicator.h.
#include "engine/comm/communicator.h"

#include <unistd.h>

#include <bit>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <new>

#include "engine/base/check.h"
#include "engine/base/stop.h"
#include "engine/base/text.h"
#include "engine/base/thread.h"
#include "engine/comm/tree_sum.h"
#include "engine/core/side_queue.h"

namespace engine {
namespace {

constexpr int kLastWords = 5;  // seconds that ending all ranks may take

std::vector<int64_t> in_bytes(std::span<const int64_t> bounds, int64_t size) {
  std::vector<int64_t> bytes(bounds.begin(), bounds.end());
  for (int64_t& b : bytes) b = (b - bounds[0]) * size;
  return bytes;
}

Tensor part_of(const Tensor& flat, std::span<const int64_t> bounds, int rank) {
  return flat.slice(0, bounds[size_t(rank)], bounds[size_t(rank) + 1]);
}

Tensor flat(const Tensor& t) { return t.reshape({t.numel()}); }

}  // namespace

std::vector<int64_t> even_parts(int64_t count, int ranks) {
  std::vector<int64_t> bounds;
  for (int r = 0; r <= ranks; ++r) bounds.push_back(count * r / ranks);
  return bounds;
}

// ------------------------------------------------------------------------------------------------- the thread

Communicator::Communicator(const std::function<std::unique_ptr<Transport>()>& open) {
  thread_ = start_thread([this, open] { run(open); });
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return opened_; });
    if (!open_error_) place_ = transport_->place();
  }
  if (open_error_) {
    thread_.join();
    std::rethrow_exception(open_error_);
  }
  hosts_ = gather(place_.host);
}

Communicator::~Communicator() {
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
      name_of(rank()), moment.empty() ? "" : ", " + moment, ": the others did not come to ", job.kind, " of \"",
      job.label, "\" (collective ", job.number, ", ", job.count, " ", job.dtype, ") within ", seconds,
      " s (parallel.timeout); the rank that says nothing like this is the one to look at");
  std::fprintf(stderr, "%s\n", message_line(words).c_str());
  abort(1);
  throw RankError(1, "");
}

/// What the ranks are about to do, as one number each; told apart in words only when they differ.
void Communicator::compare(const Job& job) {
  std::string mine = join_text(job.kind, " number ", job.number, " of ", job.count, " ", job.dtype, " (",
                               job.label, ")");
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
  if (thread_.joinable()) wait(start({.label = "the end", .kind = "finish", .work = [](Transport& t) { t.finish(); }}));
  finished_ = true;
}

void Communicator::abort(int code) {
  if (!thread_.joinable()) return;
  finished_ = true;
  transport_->give_up(code);
  // When the thread waits in a collective it sees that; when it has nothing to do, this is its next job.
  const int64_t job = start({.label = "the end", .kind = "abort", .work = [code](Transport& t) { t.abort(code); }});
  std::unique_lock lock(mutex_);
  const bool ended =
      changed_.wait_for(lock, std::chrono::seconds(kLastWords), [&] { return worked_ > job; });
  if (!ended) ::_exit(code);
}

// ------------------------------------------------------------------------------------------------- tensors

void Communicator::check_parts(const char* what, const Tensor& values, std::span<const int64_t> bounds) const {
  check(values.defined() && values.is_contiguous() && values.rank() == 1, what,
        ": needs a flat tensor, got ",
        values.defined() ? join_text(values.shape(), values.is_contiguous() ? "" : " with gaps") : "nothing");
  bool good = bounds.size() == size_t(size()) + 1 && bounds.front() == 0 && bounds.back() == values.numel();
  for (size_t r = 1; good && r < bounds.size(); ++r) good = bounds[r] >= bounds[r - 1];
  check(good, what, ": these bounds do not part ", values.shape(), " among ", size(), " ranks");
}

int64_t Communicator::start_sum(const Tensor& source, const Tensor& target, std::span<const int64_t> bounds,
                                Gathered gathered, const char* label) {
  check_parts("sum", source, bounds);
  check_parts("sum", target, bounds);
  check(is_float(source.dtype()) && is_float(target.dtype()), "sum: of ", source.dtype(), " into ",
        target.dtype());
  if (size() == 1) {
    if (source.raw() != target.raw()) target.copy_from(source);
    return -1;
  }
  Job job{.label = label, .kind = "sum", .dtype = engine::name_of(source.dtype()), .count = source.numel()};
  if (carried(source) && carried(target)) return start_sum_on_device(source, target, bounds, gathered, std::move(job));
  const Tensor from = source.to(Device::cpu);
  const bool staged = target.device() != Device::cpu;
  const Tensor to = staged ? Tensor::empty(target.shape(), target.dtype(), Device::cpu) : target;
  const std::vector<int64_t> parts(bounds.begin(), bounds.end());
  job.work = [this, from, to, parts, gathered](Transport& transport) {
    const int n = size();
    const int64_t size = size_of(from.dtype()), own = parts[size_t(rank()) + 1] - parts[size_t(rank())];
    std::vector<int64_t> received;
    for (int r = 0; r <= n; ++r) received.push_back(r * own * size);
    if (scratch_.size() < size_t(n * own * size)) scratch_.resize(size_t(n * own * size));
    transport.all_to_all(static_cast<const char*>(from.raw()), in_bytes(parts, size).data(), scratch_.data(),
                         received.data());
    tree_sum(scratch_.data(), n, own, from.dtype(), static_cast<char*>(part_of(to, parts, rank()).raw()),
             to.dtype());
    if (gathered == Gathered::all)
      transport.all_gather(static_cast<char*>(to.raw()), in_bytes(parts, size_of(to.dtype())).data());
  };
  job.after = [=, this] {
    ++target.storage()->version;
    if (!staged) return;
    if (gathered == Gathered::all)
      target.copy_from(to);
    else
      part_of(target, parts, rank()).copy_from(part_of(to, parts, rank()));
  };
  return start(std::move(job));
}

int64_t Communicator::start_all_gather(const Tensor& values, std::span<const int64_t> bounds,
                                       const char* label) {
  check_parts("all_gather", values, bounds);
  if (size() == 1) return -1;
  Job job{.label = label, .kind = "all_gather", .dtype = engine::name_of(values.dtype()), .count = values.numel()};
  if (carried(values)) {
    const std::vector<int64_t> bytes = in_bytes(bounds, size_of(values.dtype()));
    job.after = [values] { ++values.storage()->version; };
    const auto gather = [&](Transport& t) { t.all_gather(static_cast<char*>(values.raw()), bytes.data()); };
    return start_on_device(std::move(job), {gather}, {values});
  }
  const Tensor on_host = values.to(Device::cpu);
  job.work = [on_host, bytes = in_bytes(bounds, size_of(values.dtype()))](Transport& transport) {
    transport.all_gather(static_cast<char*>(on_host.raw()), bytes.data());
  };
  job.after = [values, on_host] {
    if (on_host.raw() != values.raw()) values.copy_from(on_host);
    ++values.storage()->version;
  };
  return start(std::move(job));
}

// ------------------------------------------------------------------------------------------------- on a device

int64_t Communicator::start_on_device(Job job, const std::vector<std::function<void(Transport&)>>& moves,
                                      std::vector<Tensor> held) {
  const SideQueue& queue = *side_queue_of(device_);
  int64_t place = 0;
  for (const auto& move : moves) {
    by_device_->enter(queue.begin());
    move(*by_device_);
    place = queue.end();
  }
  job.work = [](Transport&) {};
  job.done_on_device = [&queue, place, held = std::move(held)] { return queue.done(place); };
  return start(std::move(job));
}

int64_t Communicator::start_sum_on_device(const Tensor& source, const Tensor& target, std::span<const int64_t> bounds,
                                          Gathered gathered, Job job) {
  const int n = size();
  const DType dtype = source.dtype(), wide_dtype = compute_dtype(dtype);
  const std::vector<int64_t> parts(bounds.begin(), bounds.end());
  const int64_t own = parts[size_t(rank()) + 1] - parts[size_t(rank())];
  // Kept from job to job, which follow each other on the side queue. Zeros, because the stand-in holds memory that a
  // library of others writes to for unwritten.
  const auto scratch = [&](Tensor& kept, DType kind) {
    if (!kept.defined() || kept.dtype() != kind || kept.numel() < n * own)
      kept = Tensor::zeros({n * own}, kind, device_);
    return kept.slice(0, 0, n * own);
  };
  const Tensor received = scratch(received_, dtype),
               wide = dtype == wide_dtype ? received : scratch(widened_, wide_dtype);
  job.after = [target] { ++target.storage()->version; };

  const auto add_up = [&](Transport& t) {
    std::vector<int64_t> from;
    for (int r = 0; r <= n; ++r) from.push_back(r * own * size_of(dtype));
    t.all_to_all(static_cast<const char*>(source.raw()), in_bytes(parts, size_of(dtype)).data(),
                 static_cast<char*>(received.raw()), from.data());
  };
  const auto sum = [&](Transport&) {
    if (own == 0) return;
    if (dtype != wide_dtype) wide.copy_from(received);
    const auto part = [&](int r) { return wide.slice(0, r * own, (r + 1) * own); };
    for (int half = int(std::bit_ceil(unsigned(n))) / 2; half > 0; half /= 2)
      for (int r = 0; r < half && r + half < n; ++r) part(r).copy_from(part(r + half), true);
    part_of(target, parts, rank()).copy_from(part(0));
  };
  const auto gather = [&](Transport& t) {
    t.all_gather(static_cast<char*>(target.raw()), in_bytes(parts, size_of(target.dtype())).data());
  };
  std::vector<std::function<void(Transport&)>> moves = {add_up, sum};
  if (gathered == Gathered::all) moves.push_back(gather);
  return start_on_device(std::move(job), moves, {source, target, received, wide});
}

void Communicator::all_reduce(const Tensor& values) {
  check(values.defined() && values.is_contiguous(), "all_reduce: needs a contiguous tensor, got ",
        values.defined() ? join_text(values.shape(), " with gaps") : "nothing");
  const Tensor all = flat(values);
  wait(start_sum(all, all, even_parts(all.numel(), size()), Gathered::all, "values"));
}

void Communicator::broadcast(const Tensor& values, int root) {
  check(values.defined() && values.is_contiguous(), "broadcast: needs a contiguous tensor, got ",
        values.defined() ? join_text(values.shape(), " with gaps") : "nothing");
  check(root >= 0 && root < size(), "broadcast: root ", root, " of ", size(), " ranks");
  if (size() == 1) return;
  Job job{.label = "values", .kind = "broadcast", .dtype = engine::name_of(values.dtype()), .count = values.numel()};
  if (carried(values)) {
    job.after = [values] { ++values.storage()->version; };
    const auto send = [&](Transport& t) { t.broadcast(static_cast<char*>(values.raw()), values.bytes(), root); };
    return wait(start_on_device(std::move(job), {send}, {values}));
  }
  const Tensor on_host = values.to(Device::cpu);
  job.work = [on_host, root](Transport& t) {
    t.broadcast(static_cast<char*>(on_host.raw()), on_host.bytes(), root);
  };
  wait(start(std::move(job)));
  if (on_host.raw() != values.raw()) values.copy_from(on_host);
  ++values.storage()->version;
}

void Communicator::gather_to_root(const Tensor& values, std::span<const int64_t> bounds) {
  check_parts("gather", values, bounds);
  check(values.device() == Device::cpu, "gather: needs host memory");
  if (size() == 1) return;
  Job job{.label = "values", .kind = "gather", .dtype = engine::name_of(values.dtype()), .count = values.numel()};
  job.work = [this, values, bytes = in_bytes(bounds, size_of(values.dtype()))](Transport& t) {
    const size_t n = bytes.size(), me = size_t(rank());
    const int64_t own = me == 0 ? 0 : bytes[me + 1] - bytes[me];  // rank 0 has its part already
    std::vector<int64_t> to(n, own), from(n, 0);
    to[0] = 0;
    char* const base = static_cast<char*>(values.raw());
    if (me == 0) {
      from = bytes;
      from[0] = bytes[1];  // what rank 0 sends itself is empty
    }
    t.all_to_all(base + bytes[me], to.data(), base, from.data());
  };
  wait(start(std::move(job)));
}

void Communicator::scatter_from_root(const Tensor& values, std::span<const int64_t> bounds) {
  check_parts("scatter", values, bounds);
  check(values.device() == Device::cpu, "scatter: needs host memory");
  if (size() == 1) return;
  Job job{.label = "values", .kind = "scatter", .dtype = engine::name_of(values.dtype()), .count = values.numel()};
  job.work = [this, values, bytes = in_bytes(bounds, size_of(values.dtype()))](Transport& t) {
    const size_t n = bytes.size(), me = size_t(rank());
    char* const base = static_cast<char*>(values.raw());
    std::vector<int64_t> to(n, 0), from(n, 0);
    if (me == 0) {
      to = bytes;
      to[0] = bytes[1];
    } else {
      const int64_t own = bytes[me + 1] - bytes[me];
      std::fill(from.begin() + 1, from.end(), own);
    }
    t.all_to_all(base, to.data(), base + bytes[me], from.data());
  };
  wait(start(std::move(job)));
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
