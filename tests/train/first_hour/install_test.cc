// What `cmake --install` leaves: headers that compile by themselves, a project outside the tree that builds
// and runs against them, manual pages and completions, and Debian packages that name what they need.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>

#include "engine/base/file.h"
#include "run_program.h"
#include "temporary_folder.h"

using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

std::string succeed(const std::string& command) {
  const ProgramEnd end = run_shell(command);
  INFO(command << "\n" << end.output);
  REQUIRE(end.code == 0);
  return end.output;
}

}  // namespace

TEST_CASE("cmake --install: the program, its pages, its libraries, a project outside the tree builds on them",
          "[medium]") {
  const TemporaryFolder folder;
  const std::string prefix = folder / "usr";
  succeed("cmake --install " BINARY_DIR " --prefix " + prefix);
  CHECK_THAT(succeed(prefix + "/bin/normlab version"), Contains("normlab "));
  for (const char* file : {"share/man/man1/normlab-train.1", "share/bash-completion/completions/normlab",
                           "share/zsh/site-functions/_normlab",
                           "share/fish/vendor_completions.d/normlab.fish", "share/normlab/configs/demo.json"})
    CHECK(engine::file_exists(prefix + "/" + file));

  // Each header by itself, with nothing of the source tree in sight.
  const std::string include = prefix + "/include/normlab";
  int headers = 0;
  for (const auto& entry : fs::recursive_directory_iterator(include)) {
    if (entry.path().extension() != ".h") continue;
    ++headers;
  }
  CHECK(headers > 50);
  succeed("cd " + folder.path + " && find " + include +
          " -name '*.h' -print0 | xargs -0 -n1 -P2 sh -c 'g++ -std=c++20 " +
          "-fsyntax-only -x c++ -DENGINE_HAS_base=1 -I" + include +
          " -include \"$0\" /dev/null || { echo \"$0\"; exit 255; }'");

  // The project, copied to where no source of ours is.
  const std::string project = folder / "project";
  fs::copy(SOURCE_DIR "/tests/example", project, fs::copy_options::recursive);
  succeed("cmake -S " + project + " -B " + project + "/build -DCMAKE_PREFIX_PATH=" + prefix +
          " -DCMAKE_BUILD_TYPE=Release");
  succeed("cmake --build " + project + "/build");
  CHECK_THAT(succeed(project + "/build/own_op"), Contains("agree"));
  CHECK_THAT(succeed(project + "/build/tiny_model"), Contains("after 200 steps"));
}

TEST_CASE("cpack: Debian packages with what they need, which run from where they are unpacked", "[medium]") {
  if (run_shell("command -v dpkg-deb dpkg-shlibdeps").code != 0) {
    WARN("SKIPPED: no dpkg here");
    return;
  }
  const TemporaryFolder folder;
  succeed("cd " + folder.path + " && cpack --config " BINARY_DIR "/CPackConfig.cmake -B " + folder / "made");
  std::string program, library, plugin;
  for (const auto& entry : fs::directory_iterator(folder / "made"))
    if (entry.path().extension() == ".deb")
      (entry.path().filename().string().starts_with("lib")           ? library
       : entry.path().filename().string().starts_with("normlab-mpi") ? plugin
                                                                     : program) = entry.path().string();
  REQUIRE(!program.empty());
  REQUIRE(!library.empty());
  CHECK_THAT(succeed("dpkg-deb -f " + program + " Depends"), Contains("libc6") && Contains("libprotobuf") &&
                                                                 Contains("libpcre2") && !Contains("-dev") &&
                                                                 !Contains("mpi"));
  CHECK_THAT(succeed("dpkg-deb -f " + library + " Depends"), Contains("nlohmann-json3-dev"));
  succeed("dpkg-deb -x " + program + " " + folder / "root");
  CHECK_THAT(succeed(folder / "root/usr/bin/normlab --version"), Contains("normlab "));
  CHECK(plugin.empty() == !fs::exists(BINARY_DIR "/libnormlab_mpi.so"));
  if (plugin.empty()) return;
  CHECK_THAT(succeed("dpkg-deb -f " + plugin + " Depends"), Contains("normlab") && Contains("libopenmpi"));
  succeed("dpkg-deb -x " + plugin + " " + folder / "root");
  CHECK(fs::exists(folder / "root/usr/lib/normlab/libnormlab_mpi.so"));
}
