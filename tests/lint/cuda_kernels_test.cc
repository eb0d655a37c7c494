// The rules of engine/cuda/gpu.h for kernel files, as far as a reader of text can check them; the stand-in
// checks the rest when a kernel runs.
#include <catch2/catch.hpp>
#include <filesystem>
#include <regex>
#include <string>

#include "engine/base/check.h"
#include "engine/base/file.h"

namespace {

namespace fs = std::filesystem;

struct Rule {
  const char* pattern;
  const char* instead;
};
const Rule rules[] = {
    {R"(__shared__|\bextern\b)", "shared memory is block_shared<Struct>()"},
    {R"(<<<|cudaLaunch)", "a launch is launch<Shared>(kernel, grid, threads, stream, args)"},
    {R"(\basm\b)", "PTX belongs in gpu_nvcc.h"},
    {R"(\batomic)", "no atomics: partial results, and a second launch that adds them in order"},
    {R"(cooperative|__nanosleep|__threadfence|\bvolatile\b)",
     "blocks do not wait for each other: two launches"},
    {R"(multiProcessorCount|cudaGetDeviceProperties|cudaDeviceGetAttribute|cudaOccupancy)",
     "the grid depends on shapes, not on the card"},
    {R"(#if|#ifdef|__CUDA_ARCH__|__CUDACC__)",
     "one text for every compiler: differences belong in gpu.h's two sides"},
    {R"(\bcuda(Malloc|Free|Memcpy|Memset|Stream|Event|Device)\w*)",
     "the runtime's calls belong in engine/cuda"},
    {R"(__launch_bounds__\([^,()]*\))", "__launch_bounds__(threads, 1), or ptxas spills for occupancy"},
    {R"(\bauto\s+\w+\s*=\s*[\w.]+\[)", "an element has a type: const float v = x[i]"},
};

// Text without comments and string literals, lines kept.
std::string code_of(const std::string& text) {
  std::string code;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.compare(i, 2, "//") == 0)
      while (i < text.size() && text[i] != '\n') ++i;
    if (i < text.size() && text[i] == '"' &&
        code.substr(code.rfind('\n') + 1).find("#include") == std::string::npos) {
      for (++i; i < text.size() && text[i] != '"'; ++i) i += text[i] == '\\';
      continue;
    }
    if (i < text.size()) code += text[i];
  }
  return code;
}

std::string wrong(const std::string& path, const std::string& text) {
  const std::string code = code_of(text);
  std::string found;
  const auto line_of = [&](size_t at) {
    return 1 + std::count(code.begin(), code.begin() + ptrdiff_t(at), '\n');
  };
  for (const Rule& rule : rules) {
    const std::regex pattern(rule.pattern);
    for (std::sregex_iterator it(code.begin(), code.end(), pattern), end; it != end; ++it)
      found += engine::join_text(path, ":", line_of(size_t(it->position())), ": '", it->str(),
                                 "': ", rule.instead, "\n");
  }
  // A cast of an argument's pointer is the argument of global().
  const std::regex cast(R"((\S*)static_cast<[^;()]*\*>\()");
  for (std::sregex_iterator it(code.begin(), code.end(), cast), end; it != end; ++it) {
    const std::string before = (*it)[1].str();
    if (before.size() < 7 || before.substr(before.size() - 7) != "global(")
      found += engine::join_text(path, ":", line_of(size_t(it->position())),
                                 ": a pointer that is cast goes through global()\n");
  }
  return found;
}

}  // namespace

TEST_CASE("kernel files keep the rules of gpu.h") {
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(SOURCE_DIR) / "engine")) {
    const std::string path = fs::relative(entry.path(), SOURCE_DIR).generic_string();
    if (entry.path().extension() == ".cu") CHECK(path.ends_with("_cuda.cu"));
    if (!path.ends_with("_cuda.cu") && !path.ends_with("_cuda.h")) continue;
    CHECK(wrong(path, engine::read_file(entry.path().string(), size_t(1) << 22)) == "");
  }
}

TEST_CASE("the check of kernel files sees each of the rules broken") {
  const std::string begin = "#include \"engine/cuda/gpu.h\"\n";
  CHECK(
      wrong("x.cu",
            begin +
                "// atomicAdd, <<< and asm in a comment\nconst auto x = global(static_cast<const T*>(a.x));\n"
                "const float v = x[i];\n") == "");
  for (const char* line : {
           "__shared__ float s[32];",
           "extern float x;",
           "kernel<<<1, 32>>>(a);",
           "asm volatile(\"\");",
           "atomicAdd(p, 1.0f);",
           "cooperative_groups::this_grid().sync();",
           "while (!volatile_flag) __threadfence();",
           "dim3 grid(properties.multiProcessorCount);",
           "#if defined(__CUDA_ARCH__)",
           "cudaMemcpy(a, b, n, k);",
           "__global__ void __launch_bounds__(256) f(Args a) {}",
           "const auto v = x[i];",
           "const T* x = static_cast<const T*>(a.x);",
       }) {
    INFO(line);
    const std::string message = wrong("x.cu", begin + line + "\n");
    CHECK(message.find("x.cu:2: ") == 0);
  }
}
