// normlab report RUN... --out report.html, or --watch. Read first: report.h, server.h.
#include <cstdio>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/base/log.h"
#include "engine/base/text.h"
#include "train/commands/cli.h"
#include "train/commands/commands.h"
#include "train/commands/output_file.h"
#include "train/report/picture.h"
#include "train/report/report.h"
#include "train/report/server.h"
#include "train/signals.h"

namespace train {

int cmd_report(int argc, char** argv) {
  const Usage usage = {
      "normlab report",
      "one self-contained page: curves, gradients and gains by layer, final numbers, config differences",
      {{"RUN", "run folders, as normlab train --out makes them", Count::many}},
      {{"out", "FILE", "the page; - for standard output", "report.html"},
       {"svg", "FILE", "a small picture of losses and of gradients by layer instead; - for standard output"},
       {"watch", "",
        "serve the page on this machine (127.0.0.1), where it follows live runs; Ctrl-C ends it"},
       {"port", "N", "with --watch; 0: any free one", "8123"},
       {"json", "", "one JSON object on standard output: the page, the runs and their numbers"}}};
  const Arguments args(usage, argc, argv);
  const std::vector<std::string>& paths = args.positionals();
  engine::check(paths.size() <= 64, paths.size(), " runs: a page shows at most 64");
  const int64_t port = args.integer("port", 0, 65535);
  if (args.on("watch")) {
    const SignalGuard signals;
    serve_report(paths, port, [](const std::string& address) {
      std::printf("%s\n", address.c_str());
      std::fflush(stdout);
      engine::log_info("Ctrl-C ends it");
    });
    return 0;
  }
  const std::string svg = output_file(args, "svg", {}, Dash::allowed),
                    out = output_file(args, "out", {}, Dash::allowed);
  std::vector<RunReport> runs;
  for (const std::string& path : paths) runs.push_back(read_run(path));
  name_runs(runs, paths);
  if (!svg.empty()) {
    engine::check(!args.on("json"), "--json tells of the page; --svg writes none");
    if (svg == "-")
      std::fputs(report_svg(runs).c_str(), stdout);
    else
      engine::write_file(svg, report_svg(runs));
    return 0;
  }
  const std::string page = report_html(runs);
  if (out == "-") {
    engine::check(!args.on("json"), "--json and --out - both want standard output");
    std::fwrite(page.data(), 1, page.size(), stdout);
    return 0;
  }
  engine::write_file(out, page);
  engine::log_info(out, ": ", runs.size(), runs.size() == 1 ? " run, " : " runs, ",
                   engine::human_bytes(double(page.size())));
  if (!args.on("json")) return 0;
  engine::Json list = engine::Json::array();
  for (const RunReport& run : runs) {
    engine::Json numbers = engine::Json::object();
    for (const auto& [label, text] : run.numbers) numbers[label] = text;
    list.push_back({{"name", run.name}, {"numbers", numbers}, {"failure", run.failure}});
  }
  std::printf("%s\n", engine::json_text(engine::Json{{"out", out}, {"runs", list}}, 1).c_str());
  return 0;
}

}  // namespace train
