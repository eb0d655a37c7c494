// What the fake driver (fake_driver.cc) answers, and what was asked of it: a test gets at it through the
// symbol fake_device of the library.
#pragma once

#include <cstddef>
#include <cstdint>

struct FakeDevice {
  // What it is.
  int init_result = 0, version = 13000, devices = 1, major = 9, minor = 0;
  size_t capacity = size_t(1) << 30;
  // From the `failing_after`-th call of the function named so on, that is what it answers.
  const char* failing = "";
  int failing_result = 0, failing_after = 0;
  // What it has seen.
  size_t used = 0;
  int blocks = 0, pinned = 0, streams = 0, events = 0, graphs = 0, executables = 0;
  int copies = 0, fills = 0, waits = 0, launches = 0, queries = 0;
  int opened = -1;  // the device that was asked for last
  int threads = 0;  // that made its context theirs
  // cuBLASLt's: algorithms asked for and products formed, and the last one's numbers.
  int heuristics = 0, products = 0;
  uint32_t alignment = 0, reductions = 0;
  bool no_algorithm = false;
  int product_result = 0;  // what a product answers; nothing is formed unless 0
};
