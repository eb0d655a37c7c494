// normlab report RUN... --out report.html. Read first: report.h.
#include <cstdio>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/log.h"
#include "engine/base/text.h"
#include "train/commands/cli.h"
#include "train/commands/commands.h"
#include "train/report/report.h"

namespace train {

int cmd_report(int argc, char** argv) {
  const Usage usage = {
      "normlab report",
      "one self-contained page: curves, gradients and gains by layer, final numbers, config differences",
      {{"RUN", "run folders, as normlab train --out makes them", Count::many}},
      {{"out", "FILE", "the page; - for standard output", "report.html"}}};
  const Arguments args(usage, argc, argv);
  engine::check(args.positionals().size() <= 64, args.positionals().size(), " runs: a page shows at most 64");
  std::vector<RunReport> runs;
  for (const std::string& path : args.positionals()) runs.push_back(read_run(path));
  name_runs(runs, args.positionals());
  const std::string page = report_html(runs), out = args.text("out");
  if (out == "-") {
    std::fwrite(page.data(), 1, page.size(), stdout);
  } else {
    engine::write_file(out, page);
    engine::log_info(out, ": ", runs.size(), runs.size() == 1 ? " run, " : " runs, ",
                     engine::human_bytes(double(page.size())));
  }
  return 0;
}

}  // namespace train
