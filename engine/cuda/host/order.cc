// Read first: order.h.
#include "engine/cuda/host/order.h"

#include "engine/cuda/host/device_memory.h"
#include "engine/cuda/host/stamp.h"

namespace engine::standin {
namespace {

struct Record {
  int stream = 0;
  uint64_t place = 0;
  Where where;
};
std::array<Record, kLaunches> records;
Clock now;
uint32_t current = 0, round = 0;

}  // namespace

void begin_launch(int stream, const Clock& known, Where where) {
  if (++current == kLaunches) {
    forget_launches();
    current = 1, ++round;
  }
  now = known;
  records[current] = {stream, known.reached[size_t(stream)], where};
}
uint32_t launch_in_progress() { return current; }
bool ordered_before(uint32_t launch) {
  const Record& r = records[launch];
  return r.place <= now.reached[size_t(r.stream)];
}
Where launch_site(uint32_t launch) { return records[launch].where; }
uint32_t launch_round() { return round; }

}  // namespace engine::standin
