// run_all.sh on a machine that is not what it hopes for, with scripts in place of the programs.
#include <catch2/catch.hpp>
#include <filesystem>

#include "engine/base/file.h"
#include "run_program.h"
#include "temporary_folder.h"

using Catch::Matchers::Contains;

TEST_CASE("gpu: run_all.sh goes on where products fail, not where programs or device cannot be had") {
  const TemporaryFolder folder;
  std::filesystem::copy_file(SOURCE_DIR "/tests/gpu/run_all.sh", folder / "run_all.sh");
  engine::write_file(folder / "about.txt", "a bundle\n");
  engine::write_file(folder / "normlab",
                     "#!/bin/sh\necho \"$SAYS\"\n[ $1 = --version ] && exit $STARTS\nexit 2\n");
  engine::write_file(folder / "test_gpu", "#!/bin/sh\necho \"$*\"\n");
  for (const char* program : {"run_all.sh", "normlab", "test_gpu"})
    std::filesystem::permissions(folder / program, std::filesystem::perms::owner_all);
  const auto run = [&](const std::string& says, const std::string& starts = "0") {
    return run_shell("cd '" + folder.path +
                     "'; NORMLAB_DEVICE=cuda RESULTS=results ARCHIVE=results.tgz SAYS='" + says +
                     "' STARTS=" + starts + " ./run_all.sh correct");
  };
  const ProgramEnd old = run("./normlab: version GLIBC_2.36 not found (required by lib/libstdc++.so.6)", "1");
  INFO(old.output);
  CHECK(old.code == 2);
  CHECK_THAT(old.output,
             Contains("GLIBC_2.36 not found") && Contains("do not start here") && !Contains("op-table"));

  const ProgramEnd refused = run("normlab bench gemm: device cuda: no NVIDIA driver; take cuda-host, or cpu");
  INFO(refused.output);
  CHECK(refused.code == 2);
  CHECK_THAT(refused.output, Contains("nothing to learn here") && !Contains("op-table"));

  const ProgramEnd failed = run("normlab bench gemm: device cuda: cuBLASLt has no algorithm for a product");
  INFO(failed.output);
  CHECK(failed.code == 1);  // product-peaks did not go well
  CHECK_THAT(failed.output,
             Contains("no algorithm for a product") && Contains("gpu: every row of the op table"));
  CHECK_THAT(failed.last_line(), Contains("reference-models") && Contains("ok"));
}
