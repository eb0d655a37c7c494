// Collectives of one rank and of ranks that are threads; what they refuse; how errors end all ranks.
#include "engine/comm/communicator.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <cmath>
#include <mutex>
#include <numeric>

#include "engine/base/philox.h"
#include "engine/base/stop.h"
#include "engine/comm/rank_threads.h"
#include "engine/comm/tree_sum.h"
#include "engine/core/side_queue.h"

using namespace engine;

namespace {

// Failures in threads other than the main one are kept: Catch2 may be called by one thread alone.
class Faults {
 public:
  void expect(bool good, const std::string& what) {
    if (good) return;
    const std::lock_guard lock(mutex_);
    text_ += what + "\n";
  }
  std::string text() const { return text_; }

 private:
  std::mutex mutex_;
  std::string text_;
};

Tensor random_values(uint64_t seed, int64_t n, DType dtype) {
  Rng rng{seed, 0};
  std::vector<double> values(static_cast<size_t>(n));
  for (double& x : values) x = rng.normal();
  return Tensor::from(values, {n}, dtype);
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.bytes() == b.bytes() && std::memcmp(a.raw(), b.raw(), size_t(a.bytes())) == 0;
}

// The tree written down as its definition has it, over leaves that may be absent.
float tree_of(std::vector<float> leaves) {
  size_t width = 1;
  while (width < leaves.size()) width *= 2;
  for (size_t half = width / 2; half > 0; half /= 2) {
    for (size_t i = 0; i < half && i + half < leaves.size(); ++i) leaves[i] += leaves[i + half];
    leaves.resize(std::min(leaves.size(), half));
  }
  return leaves[0];
}

}  // namespace

TEST_CASE("one rank: every collective leaves the values, bit for bit") {
  Communicator solo;
  CHECK(solo.rank() == 0);
  CHECK(solo.size() == 1);
  const std::vector<int64_t> all = {0, 4};
  for (DType dtype : {DType::f64, DType::f32, DType::bf16, DType::f16}) {
    const Tensor values = Tensor::from({1, -2, 3, 0}, {4}, dtype), target = Tensor::zeros({4}, dtype);
    solo.all_reduce(values);
    solo.broadcast(values);
    solo.all_gather(values, all);
    solo.gather_to_root(values, all);
    solo.scatter_from_root(values, all);
    CHECK(values.to_vector() == std::vector<double>{1, -2, 3, 0});
    solo.wait(solo.start_sum(values, target, all, Gathered::own_part, "x"));
    CHECK(target.to_vector() == values.to_vector());
  }
  CHECK(solo.gather("abc") == std::vector<std::string>{"abc"});
  CHECK(solo.from_root(0.1) == 0.1);
  CHECK_THROWS_WITH(solo.agree([] { fail("as it is"); }), "as it is");
  solo.barrier();
  solo.finish();
}

TEST_CASE("collectives refuse what they cannot take") {
  Communicator solo;
  const Tensor x = Tensor::zeros({2, 3}, DType::f32), flat = Tensor::zeros({6}, DType::f32);
  CHECK_THROWS_WITH(solo.all_reduce({}), "all_reduce: needs a contiguous tensor, got nothing");
  CHECK_THROWS_WITH(solo.broadcast(x.transpose(0, 1)), "broadcast: needs a contiguous tensor, got [3, 2] with gaps");
  CHECK_THROWS_WITH(solo.broadcast(x, 1), "broadcast: root 1 of 1 ranks");
  CHECK_THROWS_WITH(solo.broadcast(x, -1), "broadcast: root -1 of 1 ranks");
  CHECK_THROWS_WITH(solo.all_gather(x, std::vector<int64_t>{0, 6}), "all_gather: needs a flat tensor, got [2, 3]");
  CHECK_THROWS_WITH(solo.all_gather(flat, std::vector<int64_t>{0, 5}),
                    "all_gather: these bounds do not part [6] among 1 ranks");
  CHECK_THROWS_WITH(solo.start_sum(flat, Tensor::zeros({6}, DType::i32), std::vector<int64_t>{0, 6},
                                   Gathered::all, "x"),
                    "sum: of f32 into i32");
}

TEST_CASE("tree: leaves l and l + P/2 first, missing partners are absent") {
  for (int count = 1; count <= 9; ++count) {
    constexpr int64_t n = 2500;
    const Tensor parts = random_values(uint64_t(count), n * count, DType::f32), sum = Tensor::zeros({n}, DType::f32);
    tree_sum(static_cast<char*>(parts.raw()), count, n, DType::f32, static_cast<char*>(sum.raw()), DType::f32);
    bool equal = true;
    for (int64_t i = 0; i < n; ++i) {
      std::vector<float> leaves;
      for (int part = 0; part < count; ++part) leaves.push_back(parts.data<float>()[part * n + i]);
      equal = equal && tree_of(leaves) == sum.data<float>()[i];
    }
    INFO(count << " parts");
    CHECK(equal);
  }
}

TEST_CASE("tree: 16-bit parts are widened, added and rounded once") {
  const Tensor parts = Tensor::from({1, 0x1p-9, 0x1p-9, 0}, {4}, DType::bf16), sum = Tensor::zeros({1}, DType::bf16);
  tree_sum(static_cast<char*>(parts.raw()), 4, 1, DType::bf16, static_cast<char*>(sum.raw()), DType::bf16);
  CHECK(sum.item() == 1);  // 1 + 2^-8 lies between two bf16 numbers, and ties go to even
  const Tensor more = Tensor::from({1, 0x1p-9, 0x1p-9, 0x1p-8}, {4}, DType::bf16);
  tree_sum(static_cast<char*>(more.raw()), 4, 1, DType::bf16, static_cast<char*>(sum.raw()), DType::bf16);
  CHECK(sum.item() == 1 + 0x1p-7);
}

TEST_CASE("tree: a rank's counter over its micro-batches forms the same tree") {
  for (int k = 1; k <= 17; ++k) {
    const TreeCounter counter(k);
    const Tensor leaves = random_values(uint64_t(k) + 100, k, DType::f32);
    std::vector<float> all(leaves.data<float>(), leaves.data<float>() + k), held(size_t(counter.levels()), NAN);
    std::vector<bool> seen(static_cast<size_t>(k), false);
    float result = NAN;
    for (int turn = 0; turn < k; ++turn) {
      seen[size_t(counter.batch(turn))] = true;
      result = all[size_t(counter.batch(turn))];
      for (int level : counter.adds(turn)) result += std::exchange(held[size_t(level)], NAN);
      CHECK(counter.holds(turn).has_value() == (turn + 1 < k));
      if (counter.holds(turn)) held[size_t(*counter.holds(turn))] = result;
    }
    INFO(k << " micro-batches");
    CHECK(std::count(seen.begin(), seen.end(), true) == k);
    CHECK(result == tree_of(all));
  }
}

TEST_CASE("threads: collectives of 1 to 5 ranks") {
  for (int ranks = 1; ranks <= 5; ++ranks) {
    Faults faults;
    const auto values_of = [](int rank) { return random_values(uint64_t(rank) + 7, 1003, DType::f32); };
    run_rank_threads(ranks, [&](Communicator& c) {
      c.set_options({.timeout = 60, .check = true});
      // Parts of any size, some empty.
      std::vector<int64_t> bounds = {0};
      for (int r = 1; r < ranks; ++r) bounds.push_back(std::min<int64_t>(1003, r % 2 ? bounds.back() + 300 : bounds.back()));
      bounds.push_back(1003);
      std::vector<float> wanted(1003);
      for (int64_t i = 0; i < 1003; ++i) {
        std::vector<float> leaves;
        for (int r = 0; r < ranks; ++r) leaves.push_back(values_of(r).data<float>()[i]);
        wanted[size_t(i)] = tree_of(leaves);
      }
      const Tensor sum = Tensor::from(std::vector<double>(wanted.begin(), wanted.end()), {1003}, DType::f32);
      const Tensor a = values_of(c.rank()), b = values_of(c.rank());
      c.all_reduce(a);
      faults.expect(same_bits(a, sum), "all_reduce");
      const int64_t first = c.start_sum(b, b, bounds, Gathered::own_part, "b");
      const Tensor d = values_of(c.rank());
      const int64_t second = c.start_sum(d, d, bounds, Gathered::all, "d");
      c.wait(second);  // in another order than they were started
      c.wait(first);
      faults.expect(same_bits(d, sum), "sum of all parts");
      const int64_t begin = bounds[size_t(c.rank())], end = bounds[size_t(c.rank()) + 1];
      faults.expect(same_bits(b.slice(0, begin, end), sum.slice(0, begin, end)), "sum of the own part");
      c.all_gather(b, bounds);
      faults.expect(same_bits(b, sum), "all_gather");
      const Tensor e = values_of(c.rank());
      c.broadcast(e, ranks - 1);
      faults.expect(same_bits(e, values_of(ranks - 1)), "broadcast");
      // Pieces to rank 0 and back.
      const Tensor pieces = Tensor::zeros({1003}, DType::f32);
      pieces.slice(0, begin, end).copy_from(sum.slice(0, begin, end));
      c.gather_to_root(pieces, bounds);
      faults.expect(c.rank() != 0 || same_bits(pieces, sum), "gather_to_root");
      if (c.rank() != 0) pieces.fill(0);
      c.scatter_from_root(pieces, bounds);
      faults.expect(same_bits(pieces.slice(0, begin, end), sum.slice(0, begin, end)), "scatter_from_root");
      const std::vector<std::string> texts = c.gather(std::string(size_t(c.rank()) * 3, 'x'));
      for (int r = 0; r < ranks; ++r) faults.expect(texts[size_t(r)] == std::string(size_t(r) * 3, 'x'), "gather");
      faults.expect(c.from_root(int64_t(c.rank() + 5)) == 5, "from_root");
      c.barrier();
    });
    INFO(ranks << " ranks: " << faults.text());
    CHECK(faults.text().empty());
  }
}

TEST_CASE("threads: an error on some ranks is said once, by rank 0, and ends all") {
  Faults faults;
  std::atomic<int> ended{0};
  const auto fails_on = [&](std::initializer_list<int> failing, const std::function<void()>& how) {
    std::string said;
    run_rank_threads(4, [&](Communicator& c) {
      try {
        c.agree([&] {
          if (std::find(failing.begin(), failing.end(), c.rank()) != failing.end()) how();
        });
        faults.expect(false, "agree returned");
      } catch (const RankError& e) {
        ++ended;
        faults.expect((c.rank() == 0) == (std::string(e.what()) != ""), "who speaks");
        if (c.rank() == 0) said = join_text(e.code, " ", e.what());
      }
    });
    return said;
  };
  CHECK(fails_on({3}, [] { fail("no room"); }) == "2 rank 3 (thread0): no room");
  CHECK(fails_on({2, 1}, [] { fail("no room"); }) == "2 rank 1 (thread0): no room");
  CHECK(fails_on({0, 1, 2, 3}, [] { fail("no room"); }) == "2 no room");
  CHECK(fails_on({1}, [] { throw std::runtime_error("broken"); }) == "1 rank 1 (thread0): broken");
  CHECK(fails_on({1}, [] { throw Stopped{}; }) == "130 rank 1 (thread0): stopped");
  CHECK(ended == 20);
  INFO(faults.text());
  CHECK(faults.text().empty());
}

TEST_CASE("threads: an exception that the others do not know of ends them too") {
  std::atomic<int> ended{0};
  const auto work = [&](Communicator& c) {
    if (c.rank() == 2) fail("only here");
    try {
      c.barrier();
    } catch (...) {
      ++ended;
      throw;
    }
  };
  CHECK_THROWS_WITH(run_rank_threads(3, work), "only here");
  CHECK(ended == 2);
}

TEST_CASE("threads: texts that differ are named") {
  CHECK_THROWS_WITH(run_rank_threads(3, [](Communicator& c) { c.check_same("seed", c.rank() == 1 ? "7" : "8"); }),
                    "rank 1 (thread0): has another seed than rank 0: 7, not 8");
}

TEST_CASE("threads: a rank that does not come is waited for as long as the timeout says") {
  std::atomic<bool> go{false};
  std::atomic<int> ended{0};
  const auto work = [&](Communicator& c) {
    c.set_options({.timeout = 0.3});
    c.set_moment("update 17");
    if (c.rank() == 1) {
      while (!go) std::this_thread::yield();
      c.barrier();
    }
    try {
      c.barrier();
    } catch (const std::exception&) {
      ++ended;
      go = true;
      throw;
    }
  };
  CHECK_THROWS(run_rank_threads(3, work));
  CHECK(ended >= 2);
}

TEST_CASE("threads: a collective that a device's transport refuses leaves the side queue") {
  struct Refusing : Transport {
    void all_to_all(const char*, const int64_t*, char*, const int64_t*) override { fail("no wire"); }
    void all_gather(char*, const int64_t*) override { fail("no wire"); }
    void broadcast(char*, int64_t, int) override { fail("no wire"); }
    void finish() override {}
    void abort(int) override {}
  };
  static thread_local int inside = 0;
  set_side_queue(Device::cpu, {.begin = []() -> void* {
                                 ++inside;
                                 return nullptr;
                               },
                               .end = []() -> int64_t { return --inside; },
                               .done = [](int64_t) { return true; }});
  Faults faults;
  run_rank_threads(2, [&](Communicator& c) {
    c.carry(Device::cpu, std::make_unique<Refusing>());
    const Tensor x = random_values(1, 10, DType::f32);
    for (int turn = 0; turn < 2; ++turn) {
      std::string said;
      try {
        c.all_reduce(x);
      } catch (const Error& e) {
        said = e.what();
      }
      faults.expect(said == "no wire", "the error is the transport's, not: " + said);
      faults.expect(inside == 0, "work of others goes to the side queue");
    }
  });
  set_side_queue(Device::cpu, {});
  CHECK(faults.text() == "");
}

TEST_CASE("threads: with check, other collectives on other ranks are both named") {
  const auto work = [](Communicator& c) {
    c.set_options({.timeout = 60, .check = true});
    const Tensor x = Tensor::zeros({c.rank() == 1 ? 8 : 16}, DType::f32);
    c.all_reduce(x);
  };
  CHECK_THROWS_WITH(run_rank_threads(2, work),
                    "rank 1 (thread0) is at another collective than rank 0: sum number 2 of 8 f32 (values), not sum "
                    "number 2 of 16 f32 (values)");
}
