// One declaration for every backend (engine/kernel/kernel.h): what a device that the build lacks answers.
#include <catch2/catch.hpp>

#include "engine/kernel/gemm.h"
#include "engine/kernel/wide.h"
#include "engine/ops/norm_kernels.h"

using namespace engine;

#if !defined(ENGINE_HAS_cuda)
TEST_CASE("a kernel on a device that the build lacks is an error of one line") {
  CHECK_THROWS_WITH(kernel::gemm(Device::cuda, {}), Catch::Contains("device cuda: this build has cpu"));
  CHECK_THROWS_WITH(kernel::norm_forward(Device::cuda, {}), Catch::Contains("device cuda: this build has cpu"));
}
#endif
#if !defined(ENGINE_HAS_cuda_host)
TEST_CASE("a kernel on the stand-in is an error where the build has none") {
  CHECK_THROWS_WITH(kernel::gemm(Device::cuda_host, {}), Catch::Contains("device cuda-host: this build has cpu"));
}
#endif

TEST_CASE("what is small depends on the device: nothing is on a GPU") {
  CHECK(is_wide(Device::cpu, 1 << 19));
  CHECK_FALSE(is_wide(Device::cpu, (1 << 19) + 1));
  CHECK(is_wide_row_op(Device::cpu, 1 << 13));
  CHECK_FALSE(is_wide_row_op(Device::cpu, (1 << 13) + 1));
  CHECK_FALSE(is_wide(Device::cuda, 1));
  CHECK_FALSE(is_wide_row_op(Device::cuda_host, 1));
}
