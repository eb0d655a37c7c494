// The GPU's runtime on a driver and a cuBLASLt that are fakes (fake_driver.cc, fake_cublaslt.cc): what it
// says where there is no device, memory and copies, recorded steps, products.
#include <dlfcn.h>

#include <catch2/catch.hpp>
#include <cstdlib>

#include "engine/base/philox.h"
#include "engine/base/thread.h"
#include "engine/core/graph.h"
#include "engine/core/side_queue.h"
#include "engine/core/tensor.h"
#include "engine/cuda/biased_product.h"
#include "engine/cuda/real/cublaslt.h"
#include "engine/cuda/real/register.h"
#include "fake_device.h"

using namespace engine;
using Catch::Matchers::Contains;
using cuda::Handle;

namespace {

const cuda::Options fakes = {
    .driver = {FAKE_CUDA}, .cublaslt = {FAKE_CUBLASLT}, .architectures = "80,90a", .version = 13000};

FakeDevice& fake() {
  static auto* found = static_cast<FakeDevice*>(dlsym(dlopen(FAKE_CUDA, RTLD_NOW), "fake_device"));
  return *found;
}

/// The device `cuda`, on the fakes for as long as it lives.
struct Device_ {
  explicit Device_(const cuda::Options& options = fakes) {
    fake() = {};
    try {
      before = memory_of(Device::cuda);
    } catch (const Error&) {
    }
    cuda::set_runtime_options(options);
    cuda::register_device();
  }
  ~Device_() {
    fake().failing = "";
    try {
      trim_memory(Device::cuda);
    } catch (const Error&) {
    }
    cuda::set_runtime_options({});
    set_device_memory(Device::cuda, before);
  }
  DeviceMemory before{};
};

std::string refusal(const std::function<void(FakeDevice&)>& set, const cuda::Options& options = fakes) {
  const Device_ device(options);
  set(fake());
  try {
    require_device(Device::cuda);
  } catch (const Error& e) {
    const std::string text = e.what();
    CHECK(text.find('\n') == std::string::npos);
    CHECK_THROWS_WITH(Tensor::zeros({2}, DType::f32, Device::cuda), text);  // the same again
    return text;
  }
  return "";
}

}  // namespace

TEST_CASE("cuda: kernels run on their own major capability, from their minor one on") {
  CHECK(cuda::runs_on("80", 8, 0));
  CHECK(cuda::runs_on("80", 8, 9));
  CHECK_FALSE(cuda::runs_on("86", 8, 0));
  CHECK_FALSE(cuda::runs_on("80", 9, 0));
  CHECK(cuda::runs_on("90a", 9, 0));
  CHECK_FALSE(cuda::runs_on("100a", 10, 3));
  CHECK(cuda::runs_on("100", 10, 3));
  CHECK_FALSE(cuda::runs_on("none", 9, 0));
}

TEST_CASE("cuda: why there is no device, in one line with what to do") {
  const auto nothing = [](FakeDevice&) {};
  CHECK(refusal(nothing) == "");
  cuda::Options missing = fakes;
  missing.driver = {"libnothing.so.1"};
  CHECK_THAT(refusal(nothing, missing),
             Contains("device cuda: no NVIDIA driver: tried libnothing.so.1") && Contains("take cuda-host"));
  missing.driver = {FAKE_CUBLASLT};
  CHECK_THAT(refusal(nothing, missing), Contains("has no cuInit"));
  CHECK_THAT(refusal([](FakeDevice& d) { d.init_result = 100; }), Contains("the driver finds no GPU"));
  CHECK_THAT(refusal([](FakeDevice& d) { d.devices = 0; }), Contains("the driver finds no GPU"));
  CHECK_THAT(refusal([](FakeDevice& d) { d.init_result = 34; }), Contains("a stub for linking"));
  CHECK_THAT(refusal([](FakeDevice& d) { d.init_result = 803; }), Contains("the driver does not start"));
  CHECK_THAT(refusal([](FakeDevice& d) { d.version = 12080; }),
             Contains("up to CUDA 12.8, this one is of CUDA 13.0"));
  CHECK_THAT(refusal([](FakeDevice& d) { d.major = 7, d.minor = 5; }),
             Contains("Fake GPU has compute capability 7.5") && Contains("below 8.0"));
  CHECK_THAT(refusal([](FakeDevice& d) { d.major = 12, d.minor = 1; }),
             Contains("kernels for 80,90a: build with -DENGINE_CUDA_ARCHS=121"));
  CHECK_THAT(refusal([](FakeDevice& d) { d.failing = "cuDevicePrimaryCtxRetain", d.failing_result = 2; }),
             Contains("opening the device: CUDA_ERROR_OTHER"));
  missing = fakes;
  missing.cublaslt = {"libnoproducts.so.13"};
  const Device_ device(missing);
  CHECK_THROWS_WITH(require_device(Device::cuda),
                    Contains("no cuBLASLt for products: tried libnoproducts.so.13, ") &&
                        Contains("/libnoproducts.so.13") && Contains("NORMLAB_CUDA_PATH"));
}

TEST_CASE("cuda: NORMLAB_CUDA_PATH names folders to look in first") {
  const std::string path = FAKE_CUDA;
  const size_t slash = path.rfind('/');
  setenv("NORMLAB_CUDA_PATH", ("/nowhere:" + path.substr(0, slash)).c_str(), 1);
  CHECK(SharedLibrary({path.substr(slash + 1)}).path() == path);
  CHECK_THROWS_WITH(SharedLibrary({"libno.so"}), Contains("tried /nowhere/libno.so, "));
  unsetenv("NORMLAB_CUDA_PATH");
}

TEST_CASE("cuda: tensors go to the device and back, in pieces where they are large") {
  const Device_ device;
  for (const int64_t n : {1, 1000, 300000, 3000000}) {  // the last: 12 MB, more than all pinned memory
    std::vector<double> values(static_cast<size_t>(n));
    for (size_t i = 0; i < values.size(); ++i) values[i] = double(i % 1001) - 500;
    const Tensor there = Tensor::from(values, {n}, DType::f32).to(Device::cuda);
    const int copies = fake().copies;
    const uint64_t waits = host_waits(Device::cuda);
    CHECK(there.to_vector() == values);
    CHECK(host_waits(Device::cuda) == waits + 1);
    CHECK(fake().copies - copies == (n * 4 + (1 << 18) - 1) / (1 << 18));
  }
  CHECK(Tensor::zeros({7}, DType::f64, Device::cuda).to_vector() == std::vector<double>(7, 0));
  const uint64_t waits = host_waits(Device::cuda);
  const Tensor up = Tensor::from({1, 2}, {2}).to(Device::cuda);
  CHECK(host_waits(Device::cuda) == waits);  // what goes up is not waited for
  CHECK(fake().blocks > 0);
}

TEST_CASE("cuda: everything that was taken is given back") {
  {
    const Device_ device;
    Tensor::zeros({1000}, DType::f32, Device::cuda);
    CHECK(fake().pinned > 0);
  }
  for (const int left : {fake().blocks, fake().pinned, fake().streams, fake().events, int(fake().used)})
    CHECK(left == 0);
}

TEST_CASE("cuda: out of memory and a lost device are errors of their own") {
  const Device_ device;
  require_device(Device::cuda);
  fake().capacity = fake().used + (1 << 20);
  {
    const Tensor most = Tensor::zeros({600, 1024}, DType::u8, Device::cuda);
    CHECK_THROWS_AS(Tensor::zeros({600, 1024}, DType::u8, Device::cuda), DeviceError);
    CHECK_THROWS_WITH(Tensor::zeros({600, 1024}, DType::u8, Device::cuda),
                      Contains("device cuda: out of memory: cannot allocate") && Contains("smaller batch"));
  }
  Tensor::zeros({700, 1024}, DType::u8, Device::cuda);  // the block that was cached has made room

  const Tensor x = Tensor::from({1, 2}, {2}).to(Device::cuda);
  fake().failing = "cuEventSynchronize", fake().failing_result = 700;
  CHECK_THROWS_AS(x.to_vector(), DeviceError);
  CHECK_THROWS_WITH(x.to_vector(), Contains("CUDA_ERROR_ILLEGAL_ADDRESS") && Contains("the GPU is lost"));
  fake().failing = "cuMemsetD8Async", fake().failing_result = 1;
  CHECK_THROWS_WITH(Tensor::zeros({2}, DType::f32, Device::cuda),
                    Contains("filling memory: CUDA_ERROR_OTHER"));
  CHECK_THROWS_AS(cuda::refuse_launch(719, "unspecified launch failure"), DeviceError);
  CHECK_THROWS_WITH(cuda::refuse_launch(98, "invalid device function"),
                    Contains("a launch (invalid device function)"));
}

TEST_CASE("cuda: the side queue is a stream of its own, whose events are used again") {
  {
    const Device_ device;
    require_device(Device::cuda);
    const SideQueue& queue = *side_queue_of(Device::cuda);
    const Handle main = cuda::runtime().stream();
    const int streams = fake().streams;
    const auto work = [&] {
      void* const side = queue.begin();
      CHECK(side != main);
      CHECK(cuda::runtime().stream() == side);  // launches and copies go there
      CHECK_THROWS_WITH(queue.begin(), Contains("inside another one"));
      const int64_t place = queue.end();
      CHECK(cuda::runtime().stream() == main);
      return place;
    };
    const int64_t first = work(), second = work();
    CHECK(second == first + 1);
    CHECK(fake().streams == streams + 1);
    fake().failing = "cuEventQuery", fake().failing_result = 600;
    CHECK_FALSE(queue.done(second));
    fake().failing_result = 700;
    CHECK_THROWS_AS(queue.done(second), DeviceError);
    fake().failing = "";
    CHECK(queue.done(second));
    const int queries = fake().queries;
    CHECK(queue.done(first));  // comes before it
    CHECK(fake().queries == queries);
    const int events = fake().events;
    CHECK(queue.done(work()));
    CHECK(fake().events == events);
  }
  CHECK(fake().streams == 0);
  CHECK(fake().events == 0);
}

TEST_CASE("cuda: a thread that asks where work goes has the device's context") {
  const Device_ device;
  require_device(Device::cuda);
  const int before = fake().threads;
  start_thread([] {
    cuda::runtime().stream();
    cuda::runtime().stream();
  }).join();
  CHECK(fake().threads == before + 1);
}

TEST_CASE("cuda: ranks of one machine take one device each, in turn") {
  std::vector<std::string> identities;
  for (const auto& [place, device] : {std::pair{0, 0}, {1, 1}, {2, 0}}) {
    set_device_place(place);
    const Device_ cuda;
    fake().devices = 2;
    require_device(Device::cuda);
    CHECK(fake().opened == device);
    identities.push_back(side_queue_of(Device::cuda)->identity());
    CHECK(identities.back().size() == 16);
  }
  CHECK(identities[0] == identities[2]);
  CHECK(identities[0] != identities[1]);
  set_device_place(0);
}

TEST_CASE("cuda: ranks that share a device share its memory") {
  const Device_ device;
  require_device(Device::cuda);
  const size_t free = fake().capacity - fake().used;
  CHECK(memory_of(Device::cuda).available() == free);
  set_device_sharers(3);
  CHECK(memory_of(Device::cuda).available() == free / 3);
  set_device_sharers(1);
}

TEST_CASE("cuda: a recorded step is replayed with its memory") {
  const Device_ device;
  const Tensor a = Tensor::from({1, 2}, {2}).to(Device::cuda), b = a.like({2}, DType::f64, Contents::zeros);
  const auto& memory = memory_of(Device::cuda);
  const auto step = [&] {
    const Tensor between = a.like({2}, DType::f64, Contents::zeros);
    memory.copy(between.raw(), a.raw(), 16, Transfer::within);
    memory.copy(b.raw(), between.raw(), 16, Transfer::within);
  };
  {
    StepGraph graph(Device::cuda, step);
    CHECK(b.to_vector() == std::vector<double>{0, 0});  // noted, not done
    graph.replay();
    CHECK(b.to_vector() == std::vector<double>{1, 2});
    const Tensor other = a.like({2}, DType::f64);  // not the step's memory
    memory.copy(a.raw(), Tensor::from({3, 4}, {2}).raw(), 16, Transfer::from_host);
    other.fill(7);
    graph.replay();
    CHECK(b.to_vector() == std::vector<double>{3, 4});
    CHECK(other.to_vector() == std::vector<double>{7, 7});
    CHECK(fake().launches == 2);
  }
  CHECK(fake().graphs == 0);
  CHECK(fake().executables == 0);

  CHECK_THROWS_WITH(StepGraph(Device::cuda,
                              [&] {
                                b.copy_from(Tensor::from({1, 2}, {2}));
                              }),
                    Contains("a copy from the host inside a recorded step"));
  CHECK_THROWS_WITH(StepGraph(Device::cuda, [&] { b.to_vector(); }), Contains("inside a recorded step"));
  Tensor kept;
  CHECK_THROWS_WITH(StepGraph(Device::cuda, [&] { kept = a.like({2}, DType::f64); }),
                    Contains("keeps 1 blocks of memory"));
  {
    // What is kept is its holder's alone: no other tensor gets that memory.
    const Tensor one = a.like({2}, DType::f64), two = a.like({2}, DType::f64);
    CHECK((one.raw() != kept.raw() && two.raw() != kept.raw() && one.raw() != two.raw()));
  }
  kept = {};
  {
    const Tensor one = a.like({2}, DType::f64), two = a.like({2}, DType::f64);
    CHECK(one.raw() != two.raw());
  }
  const StepGraph again(Device::cuda, step);  // a failed recording is over
  again.replay();
  CHECK(fake().graphs == 0);
}

TEST_CASE("cuda: recorded steps that share memory use the same blocks, and each is replayed with its own") {
  const Device_ device;
  const Tensor a = Tensor::from({1, 2}, {2}).to(Device::cuda), b = a.like({2}, DType::f64, Contents::zeros);
  const auto& memory = memory_of(Device::cuda);
  std::vector<void*> between;
  const auto step = [&] {
    const Tensor passing = a.like({2}, DType::f64);
    between.push_back(passing.raw());
    memory.copy(passing.raw(), a.raw(), 16, Transfer::within);
    memory.copy(b.raw(), passing.raw(), 16, Transfer::within);
  };
  const auto shared = std::make_shared<ReservedMemory>(Device::cuda);
  {
    const StepGraph first(Device::cuda, step, shared), second(Device::cuda, step, shared);
    const StepGraph apart(Device::cuda, step);
    CHECK(between[0] == between[1]);
    CHECK(between[0] != between[2]);
    second.replay();
    CHECK(b.to_vector() == std::vector<double>{1, 2});
  }
  // The memory outlives the graphs, and nobody else is handed it.
  const Tensor other = a.like({2}, DType::f64);
  CHECK(other.raw() != between[0]);
}

TEST_CASE("cuda: a fault that a product comes upon is the driver's, with its name") {
  const Device_ device;
  const Tensor x = Tensor::zeros({4, 4}, DType::f32, Device::cuda);
  const GemmOperand rows{x.raw(), 4, DType::f32, false};
  const Gemm g{
      .a = rows, .b = rows, .m = 4, .n = 4, .k = 4, .c = x.raw(), .c_stride = 4, .c_dtype = DType::f32};
  fake().product_result = 13;
  CHECK_THROWS_WITH(cuda::products().multiply(g), "device cuda: cuBLASLt: a product failed with status 13");
  fake().failing = "cuCtxSynchronize", fake().failing_result = 700;
  CHECK_THROWS_AS(cuda::products().multiply(g), DeviceError);
}

TEST_CASE("cuda: cuBLASLt adds the bias that each product names") {
  const Device_ device;
  const int64_t m = 3, n = 5, k = 4;
  Rng rng{4};
  const auto draw = [&](int64_t rows, int64_t columns, DType dtype) {
    std::vector<double> v(size_t(rows * columns));
    for (double& x : v) x = double(rng.below(9)) - 4;  // sums are exact
    return Tensor::from(v, {rows, columns}, dtype);
  };
  const std::pair<DType, DType> kinds[] = {{DType::f32, DType::f32},
                                           {DType::bf16, DType::bf16},
                                           {DType::bf16, DType::f32},
                                           {DType::f16, DType::f16}};
  for (const auto& [dtype, result] : kinds) {
    const Tensor x = draw(m, k, dtype), w = draw(n, k, dtype),
                 y = Tensor::zeros({m, n}, result, Device::cuda);
    const Tensor x_there = x.to(Device::cuda), w_there = w.to(Device::cuda);
    const Gemm g{.a = {x_there.raw(), k, dtype, false},
                 .b = {w_there.raw(), k, dtype, true},
                 .m = m,
                 .n = n,
                 .k = k,
                 .c = y.raw(),
                 .c_stride = n,
                 .c_dtype = result};
    const size_t planned = cuda::products().planned();
    // Both lie on the device at once: the second product has the same plan and another pointer.
    const Tensor biases[] = {draw(1, n, result), draw(1, n, result)};
    const Tensor there[] = {biases[0].to(Device::cuda), biases[1].to(Device::cuda)};
    for (int turn = 0; turn < 2; ++turn) {
      const Tensor& bias = biases[turn];
      cuda::biased_gemm(g, there[turn].raw());
      const std::vector<double> xs = x.to_vector(), ws = w.to_vector(), bs = bias.to_vector(),
                                ys = y.to_vector();
      for (int64_t i = 0; i < m; ++i)
        for (int64_t j = 0; j < n; ++j) {
          double sum = bs[size_t(j)];
          for (int64_t l = 0; l < k; ++l) sum += xs[size_t(i * k + l)] * ws[size_t(j * k + l)];
          CHECK(ys[size_t(i * n + j)] == sum);
        }
    }
    CHECK(cuda::products().planned() == planned + 1);
    cuda::products().multiply(g);  // without: another plan
    CHECK(cuda::products().planned() == planned + 2);
  }
}

TEST_CASE("cuda: more matrices than cuBLASLt takes at once") {
  const Device_ device;
  for (const int64_t batch : {65535, 65536, 2 * 65535 + 3}) {
    std::vector<double> v(static_cast<size_t>(batch));
    for (size_t i = 0; i < v.size(); ++i) v[i] = double(i % 97);
    const Tensor a = Tensor::from(v, {batch}, DType::f32).to(Device::cuda),
                 c = Tensor::zeros({batch}, DType::f32, Device::cuda);
    const Tensor b = Tensor::from({3}, {1}, DType::f32).to(Device::cuda);  // the same for all
    cuda::products().multiply({.a = {a.raw(), 1, DType::f32, false},
                               .b = {b.raw(), 1, DType::f32, false},
                               .m = 1,
                               .n = 1,
                               .k = 1,
                               .c = c.raw(),
                               .c_stride = 1,
                               .c_dtype = DType::f32,
                               .batch = batch,
                               .a_batch = 1,
                               .b_batch = 0,
                               .c_batch = 1});
    for (double& x : v) x *= 3;
    CHECK(c.to_vector() == v);
  }
}

TEST_CASE("cuda: cuBLASLt is asked for the product that was meant") {
  const Device_ device;
  cuda::Products& products = cuda::products();
  Rng rng{3};
  const int64_t m = 3, n = 5, k = 4, batch = 2;
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16, DType::f16})
    for (const DType result : {dtype, compute_dtype(dtype)})
      for (int variant = 0; variant < 8; ++variant) {
        const bool at = variant & 1, bt = variant & 2, accumulate = variant & 4;
        const auto draw = [&](int64_t rows, int64_t columns, DType t) {
          std::vector<double> v(size_t(batch * rows * (columns + 3)));
          for (double& x : v) x = double(rng.below(9)) - 4;  // sums are exact
          return Tensor::from(v, {batch, rows, columns + 3}, t);
        };
        const Tensor a = draw(at ? k : m, at ? m : k, dtype), b = draw(bt ? n : k, bt ? k : n, dtype),
                     c = draw(m, n, result);
        const auto gemm = [&](const Tensor& x, const Tensor& y, const Tensor& z) {
          return Gemm{.a = {x.raw(), x.size(2), dtype, at},
                      .b = {y.raw(), y.size(2), dtype, bt},
                      .m = m,
                      .n = n,
                      .k = k,
                      .c = z.raw(),
                      .c_stride = z.size(2),
                      .c_dtype = result,
                      .accumulate = accumulate,
                      .batch = batch,
                      .a_batch = x.size(1) * x.size(2),
                      .b_batch = y.size(1) * y.size(2),
                      .c_batch = m * z.size(2)};
        };
        const Tensor there = c.to(Device::cuda);
        products.multiply(gemm(a.to(Device::cuda), b.to(Device::cuda), there));
        cpu::gemm(gemm(a, b, c));
        INFO(dtype << " into " << result << ", variant " << variant);
        CHECK(there.to_vector() == c.to_vector());
      }
  CHECK(fake().reductions == 2);
  const int asked = fake().heuristics;
  CHECK(asked == int(products.planned()));
  const Tensor x = Tensor::zeros({8, 8}, DType::f32, Device::cuda);
  Gemm g{.a = {x.raw(), 8, DType::f32, false},
         .b = {x.raw(), 8, DType::f32, false},
         .m = 8,
         .n = 8,
         .k = 8,
         .c = x.raw(),
         .c_stride = 8,
         .c_dtype = DType::f32};
  products.multiply(g);
  products.multiply(g);
  CHECK(fake().heuristics == asked + 1);
  CHECK(fake().alignment == 16);
  g.a.data = x.data<float>() + 1, g.m = 7;
  products.multiply(g);
  CHECK(fake().alignment == 4);
  fake().no_algorithm = true;
  g.n = 3;
  CHECK_THROWS_WITH(products.multiply(g),
                    Contains("no algorithm for a product [7, 8] x [8, 3] of f32 into f32"));
}
