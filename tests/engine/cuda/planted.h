// Mistakes that kernels are known for, planted one by one in the planted_*_test.cc: each is caught, with the
// line where it shows.
//
// A kernel takes the number of its mistake, 0 for none; the right kernel passes under every schedule, the
// wrong one fails under every schedule. PLANTED notes the line that the message has to name.
#pragma once

#include <catch2/catch.hpp>
#include <source_location>
#include <string>

#include "cuda_test.h"

namespace engine::cuda_host {

inline int planted_line = 0;  // of the last PLANTED() that was passed
#define PLANTED(statement)   \
  do {                       \
    planted_line = __LINE__; \
    statement;               \
  } while (0)

// Whether the message has one of the texts, which stand apart by '|'.
inline bool has(const std::string& message, const std::string& texts) {
  for (size_t begin = 0, end; begin <= texts.size(); begin = end + 1) {
    end = std::min(texts.find('|', begin), texts.size());
    if (message.find(texts.substr(begin, end - begin)) != std::string::npos) return true;
  }
  return false;
}

// Runs `launch_it`, which has to fail with a message that begins with the planted line of the calling file
// and has `text`. (Who of two comes second depends on the schedule: then the text is one of several.)
template <class F>
void caught(const std::string& text, F&& launch_it,
            const std::source_location& from = std::source_location::current()) {
  under_every_schedule([&] {
    planted_line = 0;
    std::string message;
    try {
      launch_it();
    } catch (const standin::KernelError& e) {
      message = e.what();
    }
    INFO("message: " << message << "\nexpected at line " << planted_line << ": " << text);
    CHECK(has(message, text));
    CHECK(message.find(std::string(from.file_name()) + ":" + std::to_string(planted_line) + ": ") == 0);
    CHECK(planted_line > 0);
  });
}

// The message of a mistake in which two places wait for each other names both, whichever comes first.
template <class F>
void caught_naming(const std::vector<std::string>& texts, F&& launch_it,
                   const std::source_location& from = std::source_location::current()) {
  under_every_schedule([&] {
    std::string message;
    try {
      launch_it();
    } catch (const standin::KernelError& e) {
      message = e.what();
    }
    for (const std::string& text : texts) {
      INFO("message: " << message << "\nexpected: " << text);
      CHECK(has(message, text));
    }
    CHECK(message.find(std::string(from.file_name()) + ":") == 0);
  });
}

constexpr int kThreads = 64;

}  // namespace engine::cuda_host
