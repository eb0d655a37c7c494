// Below models nothing takes a device by default: a tensor that is made there names the device it is made on,
// so that none is made on the host by mistake.
#include <catch2/catch.hpp>
#include <filesystem>
#include <string>

#include "engine/base/check.h"
#include "engine/base/file.h"

namespace {

// The calls Tensor::empty(shape, dtype), zeros(shape, dtype) and full(shape, value, dtype) in `text` without
// a device.
std::string without_device(const std::string& text) {
  std::string found;
  for (const auto& [call, most] :
       {std::pair("Tensor::empty(", 2), {"Tensor::zeros(", 2}, {"Tensor::full(", 3}}) {
    for (size_t at = text.find(call); at != std::string::npos; at = text.find(call, at + 1)) {
      int depth = 0, arguments = 1;
      size_t end = at + std::string(call).size();
      for (; depth >= 0 && end < text.size(); ++end) {
        const char c = text[end];
        depth += (c == '(' || c == '{' || c == '[') - (c == ')' || c == '}' || c == ']');
        arguments += c == ',' && depth == 0;
      }
      if (arguments <= most) found += text.substr(at, end - at) + "\n";
    }
  }
  return found;
}

}  // namespace

TEST_CASE("below models every tensor is made on a device that is named") {
  namespace fs = std::filesystem;
  int files = 0;
  for (const char* box :
       {"engine/autograd", "engine/comm", "engine/cpu", "engine/io", "engine/kernel", "engine/ops", "nn"})
    for (const auto& entry : fs::directory_iterator(fs::path(SOURCE_DIR) / box)) {
      if (entry.path().extension() != ".cc" && entry.path().extension() != ".h") continue;
      INFO(entry.path().filename());
      CHECK(without_device(engine::read_file(entry.path().string(), size_t(1) << 22)) == "");
      ++files;
    }
  CHECK(files > 60);
}

TEST_CASE("the check of devices sees a call that names none") {
  CHECK(without_device("Tensor::empty({n, f(a, b)}, x.dtype(), x.device())") == "");
  CHECK(without_device("y = Tensor::empty({n, m}, compute_dtype(x.dtype()));") ==
        "Tensor::empty({n, m}, compute_dtype(x.dtype()))\n");
  CHECK(without_device("Tensor::full({}, 1, DType::f32)") == "Tensor::full({}, 1, DType::f32)\n");
}
