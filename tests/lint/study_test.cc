// The study's page: every part has a title and a place, claims are judged by the rule that the page states,
// and the page that is kept is the one that its results give.
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <filesystem>
#include <sstream>

#include "engine/base/file.h"
#include "engine/base/json.h"
#include "temporary_folder.h"

using Catch::Matchers::Contains;
using engine::Json;

namespace {

const std::string kStudy = SOURCE_DIR "/docs/study/", kPage = SOURCE_DIR "/docs/12-what-small-scale-shows.md";

/// docs/study/page.py; false where there is no Python.
bool make_page(const std::string& results, const std::string& page) {
  const int status = std::system(("python3 " + kStudy + "page.py " + results + " " + page).c_str());
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) return false;
  REQUIRE(status == 0);
  return true;
}

Json placement(const char* name, const char* verdict) {
  Json p = {{"placement", name}, {"init", "gpt3"}, {"lr", 0.002}, {"mean", 1.5}, {"se", 0.01}, {"failed", 0}};
  p["runs"] = Json::array({{{"seconds", 3600}}});
  p["verdict"] = *verdict ? Json(verdict) : Json();
  p["difference"] = *verdict ? Json({{"mean", 0.1}, {"ci95", {0.05, 0.15}}, {"p_holm", 0.01}}) : Json();
  return p;
}

std::string line_of(const std::string& text, const std::string& word) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (line.find(word) != std::string::npos) return line;
  return "";
}

}  // namespace

TEST_CASE("claims hold, do not hold or are not resolved, as the verdicts say") {
  TemporaryFolder tmp;
  const Json result = {{"command", "compare"},
                       {"seeds", {1, 2, 3, 4, 5}},
                       {"budget", 2000},
                       {"tuned", true},
                       {"environment", {{"commit", "abc"}, {"threads", 2}}},
                       {"edge", {{"pre_ln", true}}},
                       {"placements",
                        {placement("normformer+r", ""), placement("pre_ln", "worse"),
                         placement("normformer_no_ffnln", "better"),
                         placement("normformer_no_headscale", "no difference shown")}}};
  engine::write_file(tmp / "table4-char.json", engine::json_text(result));
  engine::write_file(tmp / "page.md", engine::read_file(kPage));
  if (!make_page(tmp.path, tmp / "page.md")) return;
  const std::string page = engine::read_file(tmp / "page.md");
  CHECK_THAT(line_of(page, "all of NormFormer is better"), Contains("**holds**"));
  CHECK_THAT(line_of(page, "inside the feed-forward layer helps"), Contains("**does not hold**"));
  CHECK_THAT(line_of(page, "head scales help"),
             Contains("**not resolved**") && Contains("[+0.0500, +0.1500]"));
  CHECK(line_of(page, "residual scales help").empty());  // it was not run
  CHECK_THAT(page, Contains("at the edge of those tried: `pre_ln`") && Contains("4.00 hours"));
  CHECK_THAT(page, Contains("# 12. What small scale shows"));
}

TEST_CASE("claims about gradients and breaking rates are judged by intervals over seeds") {
  TemporaryFolder tmp;
  const auto seeds = [](const char* name, std::vector<double> ratios) {
    Json runs = Json::array();
    for (const double ratio : ratios)
      runs.push_back(
          {{"placement", name},
           {"layers", 2},
           {"window",
            {{"first", 951}, {"last", 1000}, {"w2_grad", {ratio, 1}}, {"ratio_first_last", ratio}}}});
    return runs;
  };
  Json results = seeds("pre_ln", {4.0, 5.0, 6.0});
  for (const Json& run : seeds("post_ln", {0.5, 1.5, 0.7})) results.push_back(run);
  for (const Json& run : seeds("normformer", {4.1, 5.1, 6.1})) results.push_back(run);
  engine::write_file(tmp / "figure3.json", Json{{"command", "probe gradients"}, {"results", results}}.dump());
  const auto broke = [](const char* name, const Json& rates) {
    Json runs = Json::array();
    for (const Json& rate : rates) runs.push_back({{"lr", rate}});
    return Json{{"placement", name}, {"median_lr", 0.1}, {"runs", runs}, {"censored", 0}};
  };
  const Json stability = {broke("pre_ln", {0.1, 0.11, 0.1}), broke("normformer", {0.2, 0.2, 0.21}),
                          broke("normformer+r", {0.15, nullptr, 0.16})};
  engine::write_file(tmp / "figure5.json",
                     Json{{"command", "probe stability"}, {"results", stability}}.dump());
  engine::write_file(tmp / "page.md", engine::read_file(kPage));
  if (!make_page(tmp.path, tmp / "page.md")) return;
  const std::string page = engine::read_file(tmp / "page.md");
  CHECK_THAT(line_of(page, "Pre-LN's shrink with depth"), Contains("**holds**"));
  CHECK_THAT(line_of(page, "Post-LN's gradients grow"), Contains("**not resolved**"));
  CHECK_THAT(line_of(page, "shrink less than Pre-LN's"), Contains("**does not hold**"));
  CHECK_THAT(line_of(page, "breaks at a higher rate"), Contains("**holds**"));
  CHECK_THAT(line_of(page, "residual scales take"), Contains("**not resolved**"));  // a run did not break
  CHECK_THAT(engine::read_file(tmp / "figures/study-figure3.svg"),
             Contains("<svg") && Contains("normformer"));
}

TEST_CASE("every part of the study has a title, and the page is that of its results") {
  const std::string parts = engine::read_file(kStudy + "parts.mk"),
                    script = engine::read_file(kStudy + "page.py");
  const size_t begin = parts.find("STUDY_PARTS :=");
  REQUIRE(begin != std::string::npos);
  std::istringstream words(parts.substr(begin + 14, parts.find(".PHONY") - begin - 14));
  int count = 0;
  for (std::string word; words >> word;) {
    if (word == "\\") continue;
    INFO(word);
    CHECK(script.find("\"" + word + "\":") != std::string::npos);
    CHECK(parts.find("study_" + word + " = ") != std::string::npos);
    ++count;
  }
  CHECK(count == 19);
  TemporaryFolder tmp;
  engine::write_file(tmp / "page.md", engine::read_file(kPage));
  if (!make_page(kStudy, tmp / "page.md")) return;
  CHECK(engine::read_file(tmp / "page.md") == engine::read_file(kPage));
  for (const auto& entry : std::filesystem::directory_iterator(tmp / "figures")) {
    const std::string name = entry.path().filename().string();
    INFO(name);
    CHECK(engine::read_file(entry.path().string()) == engine::read_file(SOURCE_DIR "/docs/figures/" + name));
  }
}
