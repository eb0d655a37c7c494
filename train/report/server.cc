// Read first: server.h.
#include "train/report/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "engine/base/check.h"
#include "engine/base/clock.h"
#include "engine/base/stop.h"
#include "train/report/report.h"

namespace train {

extern const std::string_view embedded_page_live_js;  // cmake/embed.cmake

namespace {

using engine::check;
using engine::Json;

constexpr size_t kMostRequest = 8192;
constexpr int kWaitMilliseconds = 200, kClientMilliseconds = 3000;

/// A descriptor that closes itself.
struct Socket {
  explicit Socket(int fd) : fd(fd) {}
  ~Socket() {
    if (fd >= 0) ::close(fd);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd;
};

bool readable(int fd, int milliseconds) {
  pollfd p{fd, POLLIN, 0};
  return ::poll(&p, 1, milliseconds) > 0;
}

/// The head of a request; empty when it does not come in time, or is too long.
std::string read_head(int fd) {
  std::string head;
  char block[1024];
  const double begun = engine::now();
  while (head.find("\r\n\r\n") == std::string::npos) {
    const int left = kClientMilliseconds - int(1000 * (engine::now() - begun));
    if (head.size() > kMostRequest || left <= 0 || !readable(fd, left)) return {};
    const ssize_t n = ::read(fd, block, sizeof block);
    if (n <= 0) return {};
    head.append(block, size_t(n));
  }
  return head;
}

void send_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (n <= 0) return;
    text.remove_prefix(size_t(n));
  }
}

void answer(int fd, const char* status, const char* type, const std::string& body) {
  send_all(fd,
           std::string("HTTP/1.1 ") + status + "\r\nContent-Type: " + type +
               "\r\nContent-Length: " + std::to_string(body.size()) +
               "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n" +
               body);
}

/// A page of another site that found a name for this address gets nothing.
bool names_this_machine(const std::string& head) {
  constexpr std::string_view field = "\r\nhost:";
  std::string lower;  // names of fields and machines: any case
  for (const char c : head) lower += char(std::tolower(uint8_t(c)));
  const size_t at = lower.find(field);
  if (at == std::string::npos) return false;
  std::string host =
      lower.substr(at + field.size(), lower.find("\r\n", at + field.size()) - at - field.size());
  host.erase(0, host.find_first_not_of(" \t"));
  host = host.substr(0, host.find_first_of(": \t"));
  return host == "127.0.0.1" || host == "localhost";
}

/// Changes when a file of a run does.
std::string version_of(const std::vector<std::string>& runs) {
  std::string version;
  for (const std::string& run : runs)
    for (const char* name : {"/metrics.jsonl", "/sample.txt", "/failure.txt", "/config.json"}) {
      struct stat info {};
      if (::stat((run + name).c_str(), &info) != 0) continue;
      version += std::to_string(info.st_size) + "." + std::to_string(info.st_mtim.tv_sec) + "." +
                 std::to_string(info.st_mtim.tv_nsec) + "-";
    }
  return version;
}

std::vector<RunReport> read_runs(const std::vector<std::string>& paths) {
  std::vector<RunReport> runs;
  for (const std::string& path : paths) runs.push_back(read_run(path));
  name_runs(runs, paths);
  return runs;
}

std::string live_page(const std::vector<std::string>& paths) {
  const std::string version = version_of(paths);
  std::string page = report_html(read_runs(paths));
  const std::string script = "<script>const normlabVersion = " + script_json(Json(version)) + ";\n" +
                             std::string(embedded_page_live_js) + "</script>\n";
  return page.insert(page.rfind("</body>"), script);
}

std::string data_json(const std::vector<std::string>& paths) {
  const std::string version = version_of(paths);  // before reading: what comes meanwhile is sent again
  Json runs = Json::array();
  for (const RunReport& run : read_runs(paths)) {
    Json entry = run.curves;
    entry["name"] = run.name;
    runs.push_back(std::move(entry));
  }
  return engine::json_text(Json{{"version", version}, {"runs", runs}});
}

void serve(int fd, const std::vector<std::string>& paths) {
  const std::string head = read_head(fd);
  if (head.empty()) return;
  if (!head.starts_with("GET ")) return answer(fd, "405 Method Not Allowed", "text/plain", "only GET\n");
  if (!names_this_machine(head)) return answer(fd, "403 Forbidden", "text/plain", "only from this machine\n");
  const std::string target = head.substr(4, head.find(' ', 4) - 4), data = "/data.json?since=";
  try {
    if (target == "/") return answer(fd, "200 OK", "text/html; charset=utf-8", live_page(paths));
    if (target.starts_with(data)) {
      if (target.substr(data.size()) == version_of(paths))
        return answer(fd, "204 No Content", "text/plain", "");
      return answer(fd, "200 OK", "application/json", data_json(paths));
    }
    answer(fd, "404 Not Found", "text/plain", "not found\n");
  } catch (const engine::Error& e) {
    answer(fd, "500 Internal Server Error", "text/plain; charset=utf-8", std::string(e.what()) + "\n");
  }
}

}  // namespace

void serve_report(const std::vector<std::string>& runs, int64_t port,
                  const std::function<void(const std::string&)>& ready) {
  for (const std::string& run : runs) read_run(run);  // what is wrong is said now
  const Socket listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  check(listener.fd >= 0, "--watch: no socket (", std::strerror(errno), ")");
  const int yes = 1;
  ::setsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in address{};
  address.sin_family = AF_INET, address.sin_port = htons(uint16_t(port)),
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  check(
      ::bind(listener.fd, reinterpret_cast<sockaddr*>(&address), size) == 0 && ::listen(listener.fd, 8) == 0,
      "--watch: cannot listen on port ", port, " (", std::strerror(errno), "); --port names another one");
  ::getsockname(listener.fd, reinterpret_cast<sockaddr*>(&address), &size);
  ready("http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/");
  while (!engine::stop_requested()) {
    if (!readable(listener.fd, kWaitMilliseconds)) continue;
    const Socket client(::accept4(listener.fd, nullptr, nullptr, SOCK_CLOEXEC));
    if (client.fd < 0) continue;
    timeval limit{kClientMilliseconds / 1000, 0};
    ::setsockopt(client.fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    serve(client.fd, runs);
  }
}

}  // namespace train
