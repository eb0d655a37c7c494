// The page of a comparison: the table first, final losses only, and every seed of a sweep in the one chart of
// losses against rates.
#include <catch2/catch.hpp>
#include <cstdio>

#include "compare_support.h"

using namespace train;
using Catch::Matchers::Contains;

TEST_CASE("the page of a comparison has its table before what failed") {
  CompareJob job;
  REQUIRE(run_normlab(job.arguments("a",
                                    "--seeds 1 --set optim.clip=0 --set optim.name=sgd --set "
                                    "optim.lr=1e14 pre_ln post_ln"))
              .code == 0);
  const std::string page = engine::read_file(job.folder / "a/report.html");
  const size_t table = page.find("<h2>Comparison</h2>"), failure = page.find("<p class=\"failure\"");
  REQUIRE(failure != page.npos);
  CHECK(table < failure);
}

TEST_CASE("the page of a comparison shows final losses, in one chart for rates, with every seed",
          "[medium]") {
  CompareJob job;
  // So that the placements' rates differ, which gives a page of runs a chart over them.
  const ProgramEnd made = run_normlab(job.arguments(
      "a", "--seeds 1 --no-stop --set eval.every=4 --lr 0.001,0.002 --lr-seeds 2,3 pre_ln post_ln"));
  INFO(made.output);
  REQUIRE(made.code == 0);
  std::string page = engine::read_file(job.folder / "a/report.html");
  CHECK_THAT(page,
             Contains("last valid loss") && !Contains("best valid loss") && !Contains("class=\"best\""));

  const std::string browser =
      run_shell("command -v chromium chromium-browser google-chrome | head -n1 | tr -d '\\n'").output;
  if (browser.empty()) {
    WARN("SKIPPED: no chromium here to open the page in");
    return;
  }
  // Runs of two rates, whatever the sweep chose; then the numbers of the chart, as its button gives them.
  const std::string lr = "\"lr\":0";
  const size_t first = page.find(lr, page.find("id=\"data\""));
  REQUIRE(first != page.npos);
  page.replace(first, lr.size(), "\"lr\":10");
  const std::string probe = R"js(<script>
    let csv = "";
    window.Blob = class { constructor(parts) { csv = parts.join(""); } };
    URL.createObjectURL = () => "#";
    const cards = [...document.querySelectorAll(".card:not([hidden])")]
      .filter((card) => card.querySelector("h3").textContent.startsWith("Loss against learning rate"));
    cards.forEach((card) => card.querySelector("button.csv").click());
    const rows = csv.trim().split("\n").map((row) => row.split(",")), seeds = rows[0].map((name) => name.includes("seed"));
    const points = rows.slice(1).flatMap((row) => row.filter((cell, i) => seeds[i] && cell !== "")).length;
    document.body.setAttribute("data-probe", cards.length + " charts, points " + points);
  </script></body>)js";
  page.replace(page.rfind("</body>"), 7, probe);
  engine::write_file(job.folder / "probed.html", page);
  const std::string dom = run_shell("HOME=" + job.folder.path + " timeout 120 " + browser +
                                    " --headless --no-sandbox --disable-gpu --window-size=1300,2400"
                                    " --virtual-time-budget=5000 --enable-logging=stderr --dump-dom file://" +
                                    job.folder.path + "/probed.html 2>" + job.folder.path + "/log")
                              .output;
  const std::string log = engine::read_file(job.folder / "log");
  INFO(log.substr(0, 4000));
  CHECK_THAT(log, !Contains("CONSOLE"));
  const size_t at = dom.find("data-probe=\"");
  REQUIRE(at != std::string::npos);
  int charts = 0, points = 0;
  REQUIRE(std::sscanf(dom.c_str() + at, "data-probe=\"%d charts, points %d", &charts, &points) == 2);
  CHECK(charts == 1);
  CHECK(points == 8);  // two placements, two rates, two seeds
}
