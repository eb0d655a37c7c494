// The transport by NCCL, on a library that is a fake (fake_nccl.cc): which bytes go where, and what is said where NCCL
// is missing or refuses. tests/train/dist trains with it on the stand-in.
#include "engine/comm/nccl.h"

#include <catch2/catch.hpp>
#include <cstdlib>

#include "engine/comm/rank_threads.h"

using namespace engine;
using Catch::Matchers::Contains;

namespace {

/// The environment's NORMLAB_NCCL while it lives.
struct Named {
  explicit Named(const char* path) { ::setenv("NORMLAB_NCCL", path, 1); }
  ~Named() { ::unsetenv("NORMLAB_NCCL"); }
};

/// The byte that rank `from` has for rank `to` at place `i`.
char byte_of(int from, int to, int64_t i) { return char(from * 31 + to * 7 + i % 251); }

}  // namespace

TEST_CASE("nccl: bytes of 1 to 4 ranks go where they belong, whatever their sizes") {
  const Named named(FAKE_NCCL);
  const auto nccl = find_nccl();
  for (int ranks = 1; ranks <= 4; ++ranks) {
    const Nccl::Id id = new_nccl_id(*nccl);
    std::vector<int> wrong(size_t(ranks), 0);
    run_rank_threads(ranks, [&](Communicator& c) {
      const int me = c.rank();
      const auto transport = open_nccl(nccl, c.place(), id);
      const auto size_between = [&](int from, int to) { return int64_t(from == 1 ? 0 : 70000 * from + to); };
      std::vector<int64_t> to = {0}, from = {0}, parts = {0};
      for (int r = 0; r < ranks; ++r) {
        to.push_back(to.back() + size_between(me, r));
        from.push_back(from.back() + size_between(r, me));
        parts.push_back(parts.back() + size_between(r, 5));
      }
      std::string sent(size_t(to.back()), '\0'), got(size_t(from.back()), '\0'), all(size_t(parts.back()), '\0');
      for (int r = 0; r < ranks; ++r)
        for (int64_t i = 0; i < size_between(me, r); ++i) sent[size_t(to[size_t(r)] + i)] = byte_of(me, r, i);
      for (int64_t i = 0; i < size_between(me, 5); ++i) all[size_t(parts[size_t(me)] + i)] = byte_of(me, 5, i);
      transport->all_to_all(sent.data(), to.data(), got.data(), from.data());
      transport->all_gather(all.data(), parts.data());
      std::string word = me == ranks - 1 ? "from the last" : "something else";
      word.resize(13);
      transport->broadcast(word.data(), 13, ranks - 1);
      for (int r = 0; r < ranks; ++r) {
        for (int64_t i = 0; i < size_between(r, me); ++i)
          wrong[size_t(me)] += got[size_t(from[size_t(r)] + i)] != byte_of(r, me, i);
        for (int64_t i = 0; i < size_between(r, 5); ++i)
          wrong[size_t(me)] += all[size_t(parts[size_t(r)] + i)] != byte_of(r, 5, i);
      }
      wrong[size_t(me)] += word != "from the last";
      transport->finish();
    });
    for (int count : wrong) CHECK(count == 0);
  }
}

TEST_CASE("nccl: a call that is refused does not leave its group open") {
  const Named named(FAKE_NCCL);
  static int open = 0;
  const auto nccl = std::make_shared<Nccl>(*find_nccl());
  nccl->group_begin = [] {
    ++open;
    return 0;
  };
  nccl->group_end = [] {
    --open;
    return 0;
  };
  nccl->send = [](const void*, size_t, int, int, void*, void*) { return 4; };
  const auto transport = open_nccl(nccl, {.rank = 0, .size = 1, .host = ""}, new_nccl_id(*nccl));
  const int64_t bounds[] = {0, 3};
  char got[3];
  CHECK_THROWS_WITH(transport->all_to_all("abc", bounds, got, bounds), "NCCL: sending: invalid argument");
  CHECK(open == 0);
  transport->finish();
}

TEST_CASE("nccl: leaving that is refused does not undo what a run has done") {
  const Named named(FAKE_NCCL);
  const auto nccl = std::make_shared<Nccl>(*find_nccl());
  static const auto leave = nccl->leave;
  nccl->leave = [](void* communicator) {
    leave(communicator);
    return 1;
  };
  CHECK_NOTHROW(open_nccl(nccl, {.rank = 0, .size = 1, .host = ""}, new_nccl_id(*nccl))->finish());
}

TEST_CASE("nccl: one that is missing, that lacks a function, or that refuses is said in one line") {
  {
    const Named named("/nowhere/libnccl.so");
    CHECK_THROWS_WITH(find_nccl(), Contains("no NCCL: tried /nowhere/libnccl.so (") && Contains("NORMLAB_NCCL"));
  }
  {
    const Named named("libm.so.6");
    CHECK_THROWS_WITH(find_nccl(), Contains("libm.so.6 has no ncclGetVersion: it is another version"));
  }
  const Named named(FAKE_NCCL);
  Nccl::Id nowhere{};
  CHECK_THROWS_WITH(open_nccl(find_nccl(), {.rank = 0, .size = 2, .host = ""}, nowhere),
                    "NCCL: joining the other ranks: unhandled system error");
}
