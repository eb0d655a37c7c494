// The report: what is read from a run, that no text of a run can become markup, and the page in a real
// browser.
#include "train/report/report.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "run_program.h"
#include "temporary_folder.h"
#include "train/metrics.h"

using namespace train;
using Catch::Matchers::Contains;
using engine::Json;

namespace {

/// A run with every kind of record; `level` shifts its losses.
void make_run(const std::string& path, double level, int updates = 200) {
  engine::make_directories(path);
  engine::write_file(path + "/config.json",
                     Json{{"model", {{"norms", "attn{in=ln}"}, {"width", 64}}}, {"seed", level}}.dump());
  engine::write_file(path + "/sample.txt", "To be, or not to be");
  MetricsLog log(path + "/metrics.jsonl", 0);
  for (int step = 1; step <= updates; ++step) {
    Json record = {{"step", step},
                   {"tokens", step * 1024},
                   {"seconds", step * 0.5},
                   {"loss", level + 3.0 / step},
                   {"lr", 1e-3},
                   {"grad_norm", 1.0 / step},
                   {"loss_scale", step < updates / 2 ? 4 : 8},
                   {"tokens_per_second", 2048},
                   {"peak_memory", 1 << 20}};
    if (step % 10 == 0) {
      for (int layer = 0; layer < 3; ++layer) {
        record["layers"].push_back({{"layer", layer}, {"grad_norm", 1.0 + layer}, {"weight_norm", 2.0}});
        record["gains"].push_back(
            {{"layer", layer}, {"name", "ffn.mid_norm.weight"}, {"mean", 1.0}, {"min", 0.5}, {"max", 1.5}});
      }
    }
    log.write(record);
    if (step % 50 == 0) log.write({{"step", step}, {"valid_loss", level + 2.0 / step}, {"valid_ppl", 1.0}});
  }
}

std::string number_of(const RunReport& run, const std::string& label) {
  for (const auto& [name, text] : run.numbers)
    if (name == label) return text;
  return "";
}

}  // namespace

TEST_CASE("report: final numbers, columns and panels of a run") {
  TemporaryFolder folder;
  make_run(folder / "a", 1.5);
  const RunReport run = read_run(folder / "a");
  CHECK(run.norms == "attn{in=ln}");
  CHECK(number_of(run, "updates") == "200");
  CHECK(number_of(run, "tokens") == "204.8k");
  CHECK(number_of(run, "time") == "1:40");
  CHECK(number_of(run, "best valid loss") == "1.5100");
  CHECK(number_of(run, "best valid ppl") == "4.527");
  CHECK(number_of(run, "at update") == "200");
  CHECK(number_of(run, "tokens/s") == "2.0k");
  CHECK(number_of(run, "peak memory") == "1.0 MiB");
  CHECK(run.config.at("model.width") == "64");
  CHECK(run.sample == "To be, or not to be");
  CHECK(run.curves["train"]["loss"].size() == 200);
  CHECK(run.curves["valid"]["valid_loss"].size() == 4);
  CHECK(run.curves["layers"]["grad_norm"]["steps"].size() == 20);
  CHECK(run.curves["layers"]["grad_norm"]["points"][0][2] == Json({2, 3.0}));
  CHECK(run.curves["gains"]["ffn.mid_norm.weight"]["points"][19][0] == Json({0, 1.0, 0.5, 1.5}));
}

TEST_CASE("report: a long run is thinned to means, the last layer record stays") {
  TemporaryFolder folder;
  make_run(folder / "a", 1.5, 9000);
  const RunReport run = read_run(folder / "a");
  CHECK(run.curves["train"]["lines_per_point"] == 3);
  CHECK(run.curves["train"]["step"].size() == 3000);
  CHECK(run.curves["train"]["step"][1] == 5.0);
  CHECK(run.curves["layers"]["grad_norm"]["steps"].size() <= 250);
  CHECK(run.curves["layers"]["grad_norm"]["steps"].back() == 9000);
}

TEST_CASE("report: records with gaps and nonsense values do not harm") {
  TemporaryFolder folder;
  engine::write_file(
      folder / "metrics.jsonl",
      "{\"step\": 1, \"loss\": null, \"layers\": [{\"layer\": -1, \"g\": 1}, {\"layer\": 1e99}, 5, {\"g\": "
      "2},"
      " {\"layer\": 0, \"g\": \"x\"}], \"gains\": [{\"layer\": 0}, {\"layer\": 0, \"name\": 3}, null]}\n"
      "{\"step\": 2, \"loss\": \"high\", \"layers\": 7}\n{\"step\": 3, \"valid_loss\": null}\n");
  const RunReport run = read_run(folder.path);
  CHECK(run.curves["layers"].empty());
  CHECK(run.curves["gains"].empty());
  CHECK(number_of(run, "train loss") == "");
  CHECK_THAT(report_html({run}), Contains("</html>"));
  engine::write_file(folder / "metrics.jsonl", "");
  CHECK_THAT(report_html({read_run(folder.path)}), Contains("</html>"));
}

TEST_CASE("report: missing folders and files are named") {
  TemporaryFolder folder;
  CHECK_THROWS_WITH(read_run(folder / "none"), Contains("none: no such folder"));
  CHECK_THROWS_WITH(read_run(folder.path), Contains("not a run folder: it has no metrics.jsonl"));
  engine::write_file(folder / "metrics.jsonl", "");
  CHECK_THROWS_WITH(read_run(folder / "metrics.jsonl"), Contains("metrics.jsonl: is a file, not a folder"));
}

TEST_CASE("report: of a sample no more is read than is shown") {
  TemporaryFolder folder;
  make_run(folder / "run", 1);
  std::filesystem::resize_file(folder / "run/sample.txt", uintmax_t(3) << 40);  // sparse: 3 TiB
  const std::string sample = read_run(folder / "run").sample;
  CHECK(sample.size() < 66000);
  CHECK_THAT(sample, Catch::Matchers::StartsWith("To be, or not to be") && Contains("[cut after 64 KiB]"));
}

TEST_CASE("report: runs of one name are told apart by their paths") {
  std::vector<RunReport> runs(3);
  name_runs(runs, {"x/run", "y/run/", "z/other/"});
  CHECK(runs[0].name == "x/run");
  CHECK(runs[1].name == "y/run/");
  CHECK(runs[2].name == "other");
  name_runs(runs, {"/long/way/a/seed-1", "/long/way/b/seed-1", "/long/way/ab/seed-1"});
  CHECK(runs[0].name == "a/seed-1");
  CHECK(runs[1].name == "b/seed-1");
  CHECK(runs[2].name == "ab/seed-1");
  name_runs(runs, {"same/run", "same/run", "same/run"});
  CHECK(runs[0].name == "run");
}

TEST_CASE("report: text of a run is escaped wherever it goes") {
  CHECK(escape_html("<a href=\"x\">'&\x01") == "&lt;a href=&quot;x&quot;&gt;&#39;&amp;?");
  CHECK(script_json(Json("</script><!--&\xff\xe2\x80\xa8")) ==
        "\"\\u003c/script\\u003e\\u003c!--\\u0026\\ufffd\\u2028\"");
  CHECK(fill_template("a{{X}}b{{Y}}c{{", {{"X", "{{Y}}"}, {"Y", "2"}}) == "a{{Y}}b2c{{");

  RunReport run;
  run.best_valid_loss = INFINITY;
  const std::string evil = "</script><img src=x onerror=alert(1)>{{DATA}}";
  run.name = run.sample = run.norms = evil;
  run.config[evil] = evil;
  run.numbers = {{evil, evil}};
  run.curves = {{"train", Json::object()},
                {"valid", Json::object()},
                {"layers", {{evil, Json()}}},
                {"gains", Json::object()}};
  const std::string page = report_html({run});
  CHECK_THAT(page, !Contains("<img") && !Contains("</script><"));
  CHECK_THAT(page, Contains("&lt;img src=x onerror=alert(1)&gt;{{DATA}}"));
}

TEST_CASE("report: differences of configurations, best run, no network") {
  TemporaryFolder folder;
  make_run(folder / "a", 1.5);
  make_run(folder / "b", 1.25);
  std::vector<RunReport> runs = {read_run(folder / "a"), read_run(folder / "b")};
  name_runs(runs, {folder / "a", folder / "b"});
  const std::string page = report_html(runs);
  CHECK_THAT(page, Contains("What differs") && Contains(">seed</th>") && !Contains(">model.width</th>"));
  CHECK_THAT(page, Contains("<td class=\"best\">1.2600</td>"));
  CHECK_THAT(report_html({runs[0]}), Contains(">model.width</th>"));
  for (const char* fetched :
       {"<script src", "<link rel=\"stylesheet", "@import", "url(http", "sourceMappingURL", "fetch("})
    CHECK_THAT(page, !Contains(fetched));
}

TEST_CASE("report: the browser draws every curve and prints no error", "[medium]") {
  const std::string browser =
      run_shell("command -v chromium chromium-browser google-chrome | head -n1 | tr -d '\\n'").output;
  if (browser.empty()) {
    WARN("SKIPPED: no chromium here to open the report in");
    return;
  }
  TemporaryFolder folder;
  make_run(folder / "a <b>", 1.5);
  make_run(folder / "b", 1.25);
  const ProgramEnd made =
      run_normlab("report '" + folder.path + "/a <b>' " + folder / "b" + " --out " + folder / "report.html");
  CHECK_THAT(made.output, Contains("report.html: 2 runs"));
  std::string page = engine::read_file(folder / "report.html");
  // A probe that works the page's controls and then counts, for each visible chart, canvas pixels that have a
  // colour.
  const std::string probe = R"(<script>
    const press = (text) => [...document.querySelectorAll("button")].filter((b) => b.textContent === text).forEach((b) => b.click());
    press("log"); press("perplexity"); press("log"); press("dark"); press("b"); press("b");
    document.getElementById("x").value = "tokens"; document.getElementById("x").onchange();
    const plots = [...document.querySelectorAll(".card:not([hidden]) .plot")];
    const counts = plots.map((plot) => Math.max(...[...plot.querySelectorAll("canvas")].map((canvas) => {
      const d = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
      let colored = 0;
      for (let i = 0; i < d.length; i += 4)
        if (d[i + 3] > 60 && Math.max(d[i], d[i + 1], d[i + 2]) - Math.min(d[i], d[i + 1], d[i + 2]) > 40) ++colored;
      return colored;
    })));
    document.body.setAttribute("data-probe", counts.length + " charts, fewest pixels " + Math.min(...counts));
  </script></body>)";
  page.replace(page.rfind("</body>"), 7, probe);
  engine::write_file(folder / "probed.html", page);
  const std::string dom =
      run_shell("HOME=" + folder.path + " timeout 120 " + browser +
                " --headless --no-sandbox --disable-gpu --window-size=1300,2400 --virtual-time-budget=5000"
                " --enable-logging=stderr --dump-dom file://" +
                folder.path + "/probed.html 2>" + folder.path + "/log")
          .output;
  const std::string log = engine::read_file(folder / "log");
  INFO(log.substr(0, 4000));
  CHECK_THAT(log, !Contains("CONSOLE"));
  const size_t at = dom.find("data-probe=\"");
  REQUIRE(at != std::string::npos);
  int charts = 0, pixels = 0;
  REQUIRE(std::sscanf(dom.c_str() + at, "data-probe=\"%d charts, fewest pixels %d", &charts, &pixels) == 2);
  CHECK(charts == 9);  // loss, gradient norm, rate, throughput, loss scale, and two each for layers and gains
  CHECK(pixels > 200);
  CHECK_THAT(dom, Contains("a &lt;b&gt;") && !Contains("a <b>"));
}
