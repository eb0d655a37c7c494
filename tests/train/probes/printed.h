// What a function prints into a file, as text.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>

inline std::string printed(const std::function<void(FILE*)>& print) {
  char* text = nullptr;
  size_t length = 0;
  FILE* const file = ::open_memstream(&text, &length);
  print(file);
  std::fclose(file);
  const std::string out(text, length);
  std::free(text);
  return out;
}
