// The answers to the exercises of docs/11-measuring-models.md.
#include <catch2/catch.hpp>
#include <cmath>

#include "train/evaluation/statistics.h"

TEST_CASE("exercise 11.1: the standard error of an accuracy") {
  std::vector<double> answers(1000, 0);
  std::fill(answers.begin(), answers.begin() + 300, 1);
  CHECK(*train::mean_of(answers).se == Approx(0.0145).epsilon(0.01));
}

TEST_CASE("exercise 11.2: pairs") {
  const std::vector<double> one = {1.90, 1.95, 2.00}, other = {1.92, 1.97, 2.03};
  const train::PairedDifference d = train::paired_difference(other, one);
  CHECK(*d.t == Approx(7).epsilon(0.01));
  CHECK(*d.p == Approx(0.02).epsilon(0.02));
  CHECK(*d.welch_p > 0.5);
}

TEST_CASE("exercise 11.3: several comparisons") {
  const auto corrected = train::holm({0.01, 0.04, 0.03});
  CHECK(*corrected[0] == Approx(0.03));
  CHECK(*corrected[1] == Approx(0.06));
  CHECK(*corrected[2] == Approx(0.06));
}

TEST_CASE("exercise 11.4: signs alone") {
  CHECK(train::sign_flip_p(std::vector<double>{1, 2, 3, 4, 5}) == Approx(0.0625));
  CHECK(train::sign_flip_p(std::vector<double>{1, 2, 3, 4, 5, 6}) < 0.05);
}

TEST_CASE("exercise 11.5: nats a byte") {
  CHECK(std::log(500) / 4.05 == Approx(1.53).epsilon(0.01));
  CHECK(std::log(500) / 4.05 < std::log(4.7));
}
