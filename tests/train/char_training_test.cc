// Tiny Shakespeare at character level, nanoGPT's CPU setting, against the validation losses that PyTorch
// reached in the same setting (reference/char_training.json). Two limits:
//   three seeds, [slow], every placement: means agree within max(0.02, 3 s sqrt(2/3)), s the larger of the
//   two spreads: three standard errors of a difference of two means of three
//   one seed, [medium], two placements with different initialisation: a run agrees with PyTorch's mean within
//   3 s sqrt(1 + 1/3), three standard errors of a run minus a mean of three. One run has no spread of its own
//   and three runs hardly one, so s is PyTorch's, pooled over all placements (0.0085: a limit of 0.03;
//   initialisations differ by 0.15).
#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <cmath>

#include "data/token_stream.h"
#include "engine/base/file.h"
#include "engine/cpu/parallel.h"
#include "shared_data.h"
#include "training_support.h"

using namespace train;

namespace {

double mean(const std::vector<double>& v) { return mean_of_last(v, v.size()); }

double spread(const std::vector<double>& v) {
  double sum = 0;
  for (double x : v) sum += (x - mean(v)) * (x - mean(v));
  return v.size() > 1 ? std::sqrt(sum / double(v.size() - 1)) : 0;
}

// Ids are the ranks of the characters in sorted order; the first 90 % train.
void write_characters(const std::string& text, const std::string& folder) {
  std::string letters = text;
  std::sort(letters.begin(), letters.end());
  letters.erase(std::unique(letters.begin(), letters.end()), letters.end());
  std::vector<int32_t> ids;
  for (char c : text) ids.push_back(int32_t(letters.find(c)));
  const auto cut = ids.begin() + std::ptrdiff_t(0.9 * double(ids.size()));
  write_shard(folder + "/train.bin", {ids.begin(), cut}, int64_t(letters.size()));
  write_shard(folder + "/valid.bin", {cut, ids.end()}, int64_t(letters.size()));
}

/// Matrices this small gain little from a second thread; a second run beside this one gains more. The bits
/// are the same.
struct OneThread {
  const int before = engine::cpu::thread_count();
  OneThread() { engine::cpu::set_thread_count(1); }
  ~OneThread() { engine::cpu::set_thread_count(before); }
};

double train_once(const std::string& norms, int seed) {
  const OneThread one_thread;
  Job job;
  write_characters(engine::read_file(shared_path("data/tinyshakespeare/input.txt")), job.folder.path);
  job.config["model"] = {{"objective", "clm"}, {"vocab_size", 65},     {"context", 64},
                         {"layers", 4},        {"width", 128},         {"heads", 4},
                         {"ffn_width", 512},   {"activation", "gelu"}, {"positions", "learned"},
                         {"bias", false},      {"norms", norms}};
  const bool small = norms.find("hybrid") != std::string::npos;
  job.set("data.batch", 12)
      .set("data.sampler", "random_crop")
      .set("init", small ? "megatron" : "gpt3")
      .set("seed", seed);
  job.set("optim.lr", 1e-3).set("optim.betas", {0.9, 0.99});
  job.set("schedule.warmup", 100)
      .set("schedule.min_lr", 1e-4)
      .set("schedule.steps", 2000)
      .set("budget.steps", 2000);
  job.set("eval.every", 0).set("checkpoint.every", 0).set("log.every", 500);
  job.train("run");
  return series(job.run("run"), "valid_loss").back();
}

/// name -> losses of PyTorch's seeds; empty where the collection is absent.
Json pytorch_losses() {
  const std::string path = shared_path("reference/char_training.json");
  if (path.empty() || shared_path("data/tinyshakespeare/input.txt").empty()) return Json::object();
  return engine::read_json(path);
}

double pooled_spread(const Json& losses) {
  double sum = 0, freedom = 0;
  for (const auto& [name, seeds] : losses.items()) {
    const double n = double(seeds.size() - 1), s = spread(seeds.get<std::vector<double>>());
    sum += n * s * s, freedom += n;
  }
  return std::sqrt(sum / freedom);
}

void compare_one(const std::string& name) {
  const Json losses = pytorch_losses();
  if (losses.empty()) return;
  const double limit = 3 * pooled_spread(losses) * std::sqrt(4.0 / 3);
  const double ours = train_once(name, 1), theirs = mean(losses[name].get<std::vector<double>>());
  INFO(name << ": " << ours << ", PyTorch's mean " << theirs << ", limit " << limit);
  CHECK(std::fabs(ours - theirs) <= limit);
}

void compare_three(const std::string& name) {
  const Json losses = pytorch_losses();
  if (losses.empty()) return;
  const std::vector<double> theirs = losses.at(name).get<std::vector<double>>();
  std::vector<double> ours;
  const auto start = std::chrono::steady_clock::now();
  for (int seed = 1; seed <= 3; ++seed) ours.push_back(train_once(name, seed));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  const double s = std::max(spread(ours), spread(theirs));
  std::printf("%-20s ours %.4f +- %.4f, PyTorch %.4f +- %.4f, %.0f s a run\n", name.c_str(), mean(ours),
              spread(ours), mean(theirs), spread(theirs), took.count() / 3);
  INFO(name << ": " << mean(ours) << ", PyTorch " << mean(theirs) << ", s " << s);
  CHECK(std::fabs(mean(ours) - mean(theirs)) <= std::max(0.02, 3 * s * std::sqrt(2.0 / 3)));
}

}  // namespace

// Two test cases, so that ctest runs them beside each other.
TEST_CASE("tiny Shakespeare: one seed of pre_ln is one of PyTorch's", "[medium]") { compare_one("pre_ln"); }
TEST_CASE("tiny Shakespeare: one seed of hybridnorm_star is one of PyTorch's", "[medium]") {
  compare_one("hybridnorm_star");
}

// One test case each, so that ctest runs two at a time.
TEST_CASE("tiny Shakespeare: three seeds of pre_ln reach PyTorch's loss", "[slow]") {
  compare_three("pre_ln");
}
TEST_CASE("tiny Shakespeare: three seeds of post_ln reach PyTorch's loss", "[slow]") {
  compare_three("post_ln");
}
TEST_CASE("tiny Shakespeare: three seeds of normformer reach PyTorch's loss", "[slow]") {
  compare_three("normformer");
}
TEST_CASE("tiny Shakespeare: three seeds of normformer_resscale reach PyTorch's loss", "[slow]") {
  compare_three("normformer_resscale");
}
TEST_CASE("tiny Shakespeare: three seeds of hybridnorm reach PyTorch's loss", "[slow]") {
  compare_three("hybridnorm");
}
TEST_CASE("tiny Shakespeare: three seeds of hybridnorm_star reach PyTorch's loss", "[slow]") {
  compare_three("hybridnorm_star");
}
TEST_CASE("tiny Shakespeare: three seeds of sandwich reach PyTorch's loss", "[slow]") {
  compare_three("sandwich");
}
TEST_CASE("tiny Shakespeare: three seeds of olmo2 reach PyTorch's loss", "[slow]") { compare_three("olmo2"); }
TEST_CASE("tiny Shakespeare: three seeds of deepnorm reach PyTorch's loss", "[slow]") {
  compare_three("deepnorm");
}
