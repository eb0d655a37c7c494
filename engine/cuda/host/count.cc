// Read first: count.h.
#include "engine/cuda/host/count.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <vector>

#include "engine/cuda/host/block.h"
#include "engine/cuda/host/device_memory.h"

namespace engine::standin {
namespace {

constexpr unsigned kSector = 32;
constexpr uint32_t kAllLanes = 0xffffffff;

// One instruction of a warp: the lanes that have come to it so far.
struct Instruction {
  uint64_t address[32];
  uint32_t lanes = 0;
  uint8_t size = 0;
  Space space{};
};

// What the lanes of a warp do at one place in the code, time after time: a lane's nth access there and the
// other lanes' nth are one instruction.
struct Passes {
  std::vector<Instruction> open;      // of passes `first` and on
  uint32_t first = 0, completed = 0;  // of `open`: how many have all 32 lanes
};

// Numbers for the places that a launch meets, in the order of meeting.
class Sites {
 public:
  Sites() : slots_(256) {}
  uint32_t number(uint64_t key) {
    size_t i = slot(key);
    while (slots_[i].key != key && slots_[i].key != 0) i = (i + 1) % slots_.size();
    if (slots_[i].key == key) return slots_[i].number;
    slots_[i] = {key, uint32_t(size_++)};
    const uint32_t given = slots_[i].number;
    if (size_ * 2 > slots_.size()) grow();
    return given;
  }
  void clear() { *this = Sites(); }

 private:
  struct Slot {
    uint64_t key = 0;  // never an instruction's
    uint32_t number = 0;
  };
  size_t slot(uint64_t key) const { return size_t(key * 0x9E3779B97F4A7C15ull >> 32) % slots_.size(); }
  void grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& s : old) {
      if (s.key == 0) continue;
      size_t i = slot(s.key);
      while (slots_[i].key != 0) i = (i + 1) % slots_.size();
      slots_[i] = s;
    }
  }
  std::vector<Slot> slots_;
  size_t size_ = 0;
};

// What a worker's running block has not finished yet, and what its blocks have done.
struct Counting {
  Sites sites;                                // of the launch
  std::vector<std::vector<Passes>> open;      // by site and warp
  std::vector<std::vector<uint32_t>> passed;  // by site and thread: times
  Traffic done;
};
thread_local Counting counting;

std::mutex mutex;
std::vector<LaunchTraffic> launches;
std::atomic<uint32_t> counted_launches = 0;

uint64_t sectors_of(const Instruction& in) {
  uint64_t sectors[32 * 2];
  size_t n = 0;
  for (int i = 0; i < 32; ++i)
    if (in.lanes >> i & 1)
      for (uint64_t s = in.address[i] / kSector; s <= (in.address[i] + in.size - 1) / kSector; ++s)
        sectors[n++] = s;
  if (!std::is_sorted(sectors, sectors + n)) std::sort(sectors, sectors + n);
  return uint64_t(std::unique(sectors, sectors + n) - sectors);
}

// Passes of lanes [from, to): the most different words that one bank has to give.
uint64_t passes_of(const Instruction& in, int from, int to) {
  uint64_t words[32][32];
  int n[32] = {}, most = 0;
  for (int i = from; i < to; ++i) {
    if (!(in.lanes >> i & 1)) continue;
    for (uint64_t w = in.address[i] / 4; w <= (in.address[i] + in.size - 1) / 4; ++w) {
      uint64_t* of_bank = words[w % 32];
      int& count = n[w % 32];
      if (std::find(of_bank, of_bank + count, w) == of_bank + count) of_bank[count++] = w;
      most = std::max(most, count);
    }
  }
  return uint64_t(most);
}

void finish(const Instruction& in) {
  Traffic& t = counting.done;
  if (in.space == Space::shared) {
    // Wide accesses go in halves or quarters of a warp.
    const int together = in.size <= 4 ? 32 : in.size == 8 ? 16 : 8;
    for (int i = 0; i < 32; i += together)
      if (const uint64_t passes = passes_of(in, i, i + together)) t.shared_passes += passes, ++t.shared_least;
    return;
  }
  const uint64_t bytes = uint64_t(__builtin_popcount(in.lanes)) * in.size, sectors = sectors_of(in);
  if (in.space == Space::global_write)
    t.write_bytes += bytes, t.write_sectors += sectors;
  else
    t.read_bytes += bytes, t.read_sectors += sectors;
}

}  // namespace

void Traffic::add(const Traffic& o) {
  launches += o.launches;
  read_bytes += o.read_bytes, write_bytes += o.write_bytes;
  read_sectors += o.read_sectors, write_sectors += o.write_sectors;
  dram_read += o.dram_read, dram_write += o.dram_write;
  shared_passes += o.shared_passes, shared_least += o.shared_least;
  matrix_flop += o.matrix_flop, other_flop += o.other_flop;
  product_seconds += o.product_seconds;
}
double Traffic::sector_factor() const {
  const uint64_t bytes = read_bytes + write_bytes;
  return bytes ? double((read_sectors + write_sectors) * kSector) / double(bytes) : 1;
}
double Traffic::conflict_factor() const {
  return shared_least ? double(shared_passes) / double(shared_least) : 1;
}

double predicted_seconds(const Traffic& t, const Card& card) {
  if (t.product_seconds > 0) return t.product_seconds;
  return std::max({double(t.dram_read + t.dram_write) / card.dram,
                   double((t.read_sectors + t.write_sectors) * kSector) / card.l2,
                   double(t.matrix_flop) / card.matrix, double(t.other_flop) / card.other});
}

void count_product(const Where& launched, uint64_t read_bytes, uint64_t write_bytes, uint64_t flop,
                   bool matrix) {
  Traffic t;
  t.launches = 1;
  t.read_bytes = t.dram_read = read_bytes, t.write_bytes = t.dram_write = write_bytes;
  t.read_sectors = (read_bytes + kSector - 1) / kSector,
  t.write_sectors = (write_bytes + kSector - 1) / kSector;
  (matrix ? t.matrix_flop : t.other_flop) = flop;
  t.product_seconds = predicted_seconds(t);
  const std::lock_guard guard(mutex);
  launches.push_back({launched, t});
}

std::vector<LaunchTraffic> traffic_in_order() {
  const std::lock_guard guard(mutex);
  return launches;
}
std::vector<LaunchTraffic> traffic_by_launch() {
  std::vector<LaunchTraffic> lines;
  for (const LaunchTraffic& l : traffic_in_order()) {
    const auto same = [&](const LaunchTraffic& x) {
      return x.launched.line == l.launched.line && std::string(x.launched.file) == l.launched.file;
    };
    const auto found = std::find_if(lines.begin(), lines.end(), same);
    found == lines.end() ? lines.push_back(l) : found->traffic.add(l.traffic);
  }
  return lines;
}
Traffic total_traffic() {
  Traffic sum;
  for (const LaunchTraffic& l : traffic_in_order()) sum.add(l.traffic);
  return sum;
}
void reset_traffic() {
  const std::lock_guard guard(mutex);
  launches.clear();
}

void count_access(Space space, uint64_t address, unsigned size, const void* site) {
  const Lane& lane = this_lane();
  Counting& c = counting;
  const uint32_t number = c.sites.number(uint64_t(reinterpret_cast<uintptr_t>(site)) * 4 + uint64_t(space));
  if (number == c.open.size()) {
    c.open.emplace_back(this_block().warps.size());
    c.passed.emplace_back(this_block().lanes.size());
  }
  Passes& passes = c.open[number][lane.warp];
  const size_t i = c.passed[number][lane.thread]++ - passes.first;
  if (i >= passes.open.size()) passes.open.resize(i + 1);
  Instruction& in = passes.open[i];
  in.address[lane.lane] = address, in.lanes |= 1u << lane.lane, in.size = uint8_t(size), in.space = space;
  if (in.lanes != kAllLanes) return;
  finish(in);
  if (++passes.completed < passes.open.size()) return;
  passes.first += passes.completed, passes.completed = 0;
  passes.open.clear();
}

void count_sectors(const Allocation& block, uint64_t offset, unsigned size, bool write) {
  if (!block.sectors) return;
  const uint32_t launch = counted_launches.load(std::memory_order_relaxed) << 2, bit = write ? 2 : 1;
  for (uint64_t i = offset / kSector; i <= (offset + size - 1) / kSector; ++i) {
    std::atomic_ref<uint32_t> mark(block.sectors[i]);
    const uint32_t had = mark.load(std::memory_order_relaxed), seen = (had & ~3u) == launch ? had & 3u : 0;
    if (seen & bit) continue;
    mark.store(launch | seen | bit, std::memory_order_relaxed);
    if (!write && seen) continue;  // written a moment ago: it is in L2
    (write ? counting.done.dram_write : counting.done.dram_read) += kSector;
  }
}

void count_matrix(uint64_t flop) { counting.done.matrix_flop += flop; }

void count_block_end() {
  for (auto& warps : counting.open)
    for (Passes& passes : warps) {
      for (const Instruction& in : passes.open)
        if (in.lanes != 0 && in.lanes != kAllLanes) finish(in);
      passes.open.clear();
      passes.first = passes.completed = 0;
    }
  for (auto& passed : counting.passed) std::fill(passed.begin(), passed.end(), 0);
}

void count_launch_begin(const Where& launched) {
  const std::lock_guard guard(mutex);
  ++counted_launches;
  launches.push_back({launched, {.launches = 1}});
}
void count_worker_end() {
  const std::lock_guard guard(mutex);
  launches.back().traffic.add(counting.done);
  counting.done = {};
  counting.sites.clear();
  counting.open.clear(), counting.passed.clear();
}

}  // namespace engine::standin
