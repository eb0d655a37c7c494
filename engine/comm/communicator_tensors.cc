// The collectives of tensors: through the host's memory, or, where carry() gave the device a transport, in
// the device's side queue. Read first: communicator.h.
#include <algorithm>
#include <bit>

#include "engine/base/check.h"
#include "engine/base/text.h"
#include "engine/comm/communicator.h"
#include "engine/comm/tree_sum.h"
#include "engine/core/side_queue.h"

namespace engine {
namespace {

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

void Communicator::check_parts(const char* what, const Tensor& values,
                               std::span<const int64_t> bounds) const {
  check(values.defined() && values.is_contiguous() && values.rank() == 1, what, ": needs a flat tensor, got ",
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
  if (carried(source) && carried(target))
    return start_sum_on_device(source, target, bounds, gathered, std::move(job));
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
  Job job{.label = label,
          .kind = "all_gather",
          .dtype = engine::name_of(values.dtype()),
          .count = values.numel()};
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

// -------------------------------------------------------------------------------- on a device

int64_t Communicator::start_on_device(Job job, const std::vector<std::function<void(Transport&)>>& moves,
                                      std::vector<Tensor> held) {
  const SideQueue& queue = *side_queue_of(device_);
  int64_t place = 0;
  for (const auto& move : moves) {
    by_device_->enter(queue.begin());
    try {
      move(*by_device_);
    } catch (...) {
      queue.end();  // what is asked of the device from here on is not this collective's
      throw;
    }
    place = queue.end();
  }
  job.work = [](Transport&) {};
  job.done_on_device = [&queue, place, held = std::move(held)] { return queue.done(place); };
  return start(std::move(job));
}

int64_t Communicator::start_sum_on_device(const Tensor& source, const Tensor& target,
                                          std::span<const int64_t> bounds, Gathered gathered, Job job) {
  const int n = size();
  const DType dtype = source.dtype(), wide_dtype = compute_dtype(dtype);
  const std::vector<int64_t> parts(bounds.begin(), bounds.end());
  const int64_t own = parts[size_t(rank()) + 1] - parts[size_t(rank())];
  // Kept from job to job, which follow each other on the side queue. Zeros, because the stand-in holds memory
  // that a library of others writes to for unwritten.
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
  Job job{.label = "values",
          .kind = "broadcast",
          .dtype = engine::name_of(values.dtype()),
          .count = values.numel()};
  if (carried(values)) {
    job.after = [values] { ++values.storage()->version; };
    const auto send = [&](Transport& t) {
      t.broadcast(static_cast<char*>(values.raw()), values.bytes(), root);
    };
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
  Job job{
      .label = "values", .kind = "gather", .dtype = engine::name_of(values.dtype()), .count = values.numel()};
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
  Job job{.label = "values",
          .kind = "scatter",
          .dtype = engine::name_of(values.dtype()),
          .count = values.numel()};
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

}  // namespace engine
