// The report as a page that follows its runs: a small HTTP server on the loopback address, for `normlab report
// --watch`. Nothing but this machine can reach it. Read first: report.h.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace train {

/// Serves until a signal asks the program to end. `port` 0: any free one. `ready` is told the address once it
/// listens. GET / is the page; GET /data.json?since=V is {"version", "runs"}, or 204 while nothing is newer than V.
void serve_report(const std::vector<std::string>& runs, int64_t port,
                  const std::function<void(const std::string& address)>& ready);

}  // namespace train
