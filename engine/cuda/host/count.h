// What kernels ask of a GPU's memory, counted: settings().count.
//
// A warp's accesses are served together. What its lanes ask of global memory in one instruction becomes
// sectors of 32 bytes: the fewer, the better. What they ask of shared memory becomes passes over 32 banks of
// 4 bytes: two lanes that want different words of one bank wait for each other. And what must cross to memory
// itself is every sector once, however often kernels read it (the L2 cache holds it meanwhile). From these
// follows a time that no GPU can beat.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/cuda/host/where.h"

namespace engine::standin {

struct Traffic {
  uint64_t launches = 0;
  uint64_t read_bytes = 0, write_bytes = 0;      // that lanes asked for
  uint64_t read_sectors = 0, write_sectors = 0;  // that their warps' instructions took
  uint64_t dram_read = 0, dram_write = 0;        // bytes: every sector once a launch
  uint64_t shared_passes = 0,
           shared_least = 0;  // of instructions that touch shared memory; least: without conflicts
  uint64_t matrix_flop = 0, other_flop = 0;  // of tensor cores in 16 bits; of products in f32 and f64
  double product_seconds = 0;  // of a library's products, which are no kernels of ours: predicted one by one
  void add(const Traffic& other);
  /// Of instructions on global memory: sectors over the fewest that the bytes would fit into.
  double sector_factor() const;
  /// Of instructions on shared memory: passes over the fewest.
  double conflict_factor() const;
};

/// What an H100 was seen to do: bytes a second to memory and to L2 (a guess), operations a second of its
/// tensor cores.
struct Card {
  double dram = 3.0e12, l2 = 5.5e12, matrix = 798e12;
  double other = 67e12;  // f32 and f64 by the data sheet
};
/// Seconds that the slowest of the three takes.
double predicted_seconds(const Traffic& traffic, const Card& card = {});

/// Counts a product C = op(A) op(B) of a library: each matrix crosses once.
void count_product(const Where& launched, uint64_t read_bytes, uint64_t write_bytes, uint64_t flop,
                   bool matrix);

struct LaunchTraffic {
  Where launched;
  Traffic traffic;
};
/// Since the last reset: of every launch, in order; and summed by the line that launched it.
std::vector<LaunchTraffic> traffic_in_order();
std::vector<LaunchTraffic> traffic_by_launch();
Traffic total_traffic();
void reset_traffic();

// ---- called by the stand-in while it counts ---------------------------------------------------------------
struct Allocation;
enum class Space : uint8_t { global_read, global_write, shared };
/// One lane's access; `site` is its instruction.
void count_access(Space space, uint64_t address, unsigned size, const void* site);
/// Sectors of global memory that this launch meets for the first time.
void count_sectors(const Allocation& block, uint64_t offset, unsigned size, bool write);
void count_matrix(uint64_t flop);
/// Accesses that not all lanes of a warp took part in are complete when their block ends.
void count_block_end();
/// Adds what this worker's blocks did to the launch that began last.
void count_worker_end();
void count_launch_begin(const Where& launched);

}  // namespace engine::standin
