// What the report shows beyond its charts, the live page, and what TensorBoard gets.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>

#include "data/utf8_stream.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "run_program.h"
#include "temporary_folder.h"
#include "train/event.pb.h"
#include "train/metrics.h"
#include "train/report/picture.h"
#include "train/report/report.h"
#include "train/tensorboard.h"

using namespace train;
using Catch::Matchers::Contains;
using engine::Json;

namespace {

/// A run of `updates` lines with a model, samples and layers.
void make_run(const std::string& path, double rate, double level, int updates = 20) {
  engine::make_directories(path);
  const Json model = {{"objective", "clm"},  {"vocab_size", 32},
                      {"context", 8},        {"layers", 3},
                      {"width", 8},          {"heads", 2},
                      {"ffn_width", 16},     {"activation", "gelu"},
                      {"positions", "rope"}, {"norms", "attn{in=ln} ffn{in=ln} final=ln"}};
  engine::write_file(path + "/config.json", Json{{"model", model}, {"optim", {{"lr", rate}}}}.dump());
  MetricsLog log(path + "/metrics.jsonl", 0);
  for (int step = 1; step <= updates; ++step) {
    Json record = {{"step", step},
                   {"tokens", step * 64},
                   {"seconds", step},
                   {"loss", level + 1.0 / step},
                   {"grad_norm", 1.0}};
    if (step % 5 == 0)
      for (int layer = 0; layer < 3; ++layer)
        record["layers"].push_back({{"layer", layer}, {"grad_norm", 0.1 * (layer + 1) * step}});
    log.write(record);
    if (step % 10 == 0)
      log.write({{"step", step}, {"sample", "written at " + std::to_string(step) + " <b>"}});
  }
  log.write({{"step", updates}, {"valid_loss", level}});
}

/// A request over a socket; the whole answer.
std::string ask(int port, const std::string& request) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET, address.sin_port = htons(uint16_t(port)),
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string out;
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
    (void)!::write(fd, request.data(), request.size());
    char block[65536];
    for (ssize_t n; (n = ::read(fd, block, sizeof block)) > 0;) out.append(block, size_t(n));
  }
  ::close(fd);
  return out;
}
std::string get(int port, const std::string& target, const std::string& host = "127.0.0.1") {
  return ask(port, "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
}

std::vector<normlab::tensorboard::Event> events_of(EventWriter& writer) {
  const std::string bytes = engine::read_file(writer.file().path());
  std::vector<normlab::tensorboard::Event> events;
  for (size_t at = 0; at + 12 <= bytes.size();) {
    uint64_t length = 0;
    std::memcpy(&length, bytes.data() + at, 8);
    normlab::tensorboard::Event event;
    REQUIRE(event.ParseFromString(bytes.substr(at + 12, length)));
    events.push_back(event);
    at += 16 + length;
  }
  return events;
}

/// `normlab report --watch` on a port of its own.
struct Watch {
  explicit Watch(const std::string& run) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    pid = ::fork();
    if (pid == 0) {
      ::dup2(ends[1], 1);
      ::execl(BINARY_DIR "/normlab", "normlab", "report", run.c_str(), "--watch", "--port", "0", nullptr);
      ::_exit(127);
    }
    ::close(ends[1]);
    std::string said;
    char c;
    while (said.find('\n') == std::string::npos && ::read(ends[0], &c, 1) == 1) said += c;
    ::close(ends[0]);
    port = std::atoi(said.substr(std::min(said.size(), said.rfind(':') + 1)).c_str());
  }
  ~Watch() { stop(); }
  int stop() {
    if (pid < 0) return -1;
    ::kill(pid, SIGINT);
    int status = 0;
    ::waitpid(pid, &status, 0);
    pid = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  pid_t pid = -1;
  int port = 0;
};

}  // namespace

TEST_CASE("report: placements once each, hyperparameters, the message of a run that died") {
  const TemporaryFolder folder;
  make_run(folder / "a", 1e-3, 2);
  make_run(folder / "b", 2e-3, 1.5);
  engine::write_file(folder / "b/failure.txt", "step 21: the loss is <nan>\n");
  std::vector<RunReport> runs = {read_run(folder / "a"), read_run(folder / "b")};
  name_runs(runs, {folder / "a", folder / "b"});
  CHECK(runs[0].curves["lr"] == 1e-3);
  CHECK(runs[1].curves["best"] == 1.5);
  CHECK(runs[0].curves["samples"] == Json({{10, "written at 10 <b>"}, {20, "written at 20 <b>"}}));
  const std::string page = report_html(runs);
  const std::string figure = "<figure class=\"placement\">";
  const size_t drawing = page.find(figure);
  REQUIRE(drawing != std::string::npos);
  CHECK(page.find("<svg xmlns", drawing) != std::string::npos);
  CHECK(page.find(figure, drawing + 1) == std::string::npos);  // both have the same placement
  CHECK_THAT(page, Contains("<h2>Placements</h2>") && Contains("<h2>Hyperparameters</h2>") &&
                       Contains("<b>b ended early.</b> step 21: the loss is &lt;nan&gt;"));
  CHECK_THAT(page, !Contains("written at 20 <b>"));
}

TEST_CASE("report --watch: the page on the loopback address follows the run, for this machine alone") {
  const TemporaryFolder folder;
  make_run(folder / "run", 1e-3, 2);
  Watch watch(folder / "run");
  REQUIRE(watch.port > 0);
  const std::string page = get(watch.port, "/");
  CHECK_THAT(page, Catch::Matchers::StartsWith("HTTP/1.1 200") && Contains("normlabVersion"));
  const auto body = [](const std::string& answer) { return answer.substr(answer.find("\r\n\r\n") + 4); };
  const Json first = Json::parse(body(get(watch.port, "/data.json?since=")));
  const std::string version = first["version"].get<std::string>();
  CHECK(first["runs"][0]["train"]["loss"].size() == 20);
  CHECK_THAT(get(watch.port, "/data.json?since=" + version), Catch::Matchers::StartsWith("HTTP/1.1 204"));
  make_run(folder / "run", 1e-3, 2, 30);
  const Json second = Json::parse(body(get(watch.port, "/data.json?since=" + version)));
  CHECK(second["runs"][0]["train"]["loss"].size() == 30);
  // Not for other sites' names, other paths, other methods, or nonsense; and it lives on.
  CHECK_THAT(get(watch.port, "/", "evil.example"), Catch::Matchers::StartsWith("HTTP/1.1 403"));
  CHECK_THAT(get(watch.port, "/../../etc/passwd"), Catch::Matchers::StartsWith("HTTP/1.1 404"));
  CHECK_THAT(ask(watch.port, "POST / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
             Catch::Matchers::StartsWith("HTTP/1.1 405"));
  CHECK(ask(watch.port, std::string(20000, 'x')).empty());
  CHECK_THAT(get(watch.port, "/", "localhost:" + std::to_string(watch.port)),
             Catch::Matchers::StartsWith("HTTP/1.1 200"));
  for (const char* host : {"host: localhost", "HOST:127.0.0.1", "Host: \tLocalhost:80 "})
    CHECK_THAT(ask(watch.port, std::string("GET /none HTTP/1.1\r\n") + host + "\r\n\r\n"),
               Catch::Matchers::StartsWith("HTTP/1.1 404"));
  CHECK(watch.stop() == 0);
  CHECK(run_normlab("report " + folder / "none" + " --watch").code == 2);
}

TEST_CASE("report --watch: a client that dawdles is left after three seconds", "[medium]") {
  const TemporaryFolder folder;
  make_run(folder / "run", 1e-3, 2);
  const Watch watch(folder / "run");
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET, address.sin_port = htons(uint16_t(watch.port)),
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  bool left = false;
  for (int i = 0; i < 60 && !left; ++i) {
    left = ::send(fd, "G", 1, MSG_NOSIGNAL) != 1;
    pollfd end{fd, POLLIN, 0};
    char c;
    left = left || (::poll(&end, 1, 250) > 0 && ::read(fd, &c, 1) <= 0);
  }
  ::close(fd);
  CHECK(left);
}

TEST_CASE("report --svg: names of runs are cut between characters, and broken ones mended") {
  const TemporaryFolder folder;
  std::string name = "a";  // 40 bytes end in the middle of a letter
  for (int i = 0; i < 30; ++i) name += "ä";
  std::vector<RunReport> runs;
  for (const std::string& path : {folder / name, folder / "b\xff"}) {
    make_run(path, 1e-3, 2);
    runs.push_back(read_run(path));
  }
  name_runs(runs, {folder / name, folder / "b\xff"});
  const std::string svg = report_svg(runs);
  CHECK(svg == data::well_formed(svg));
  CHECK_THAT(svg, Contains(">" + name.substr(0, 39) + "</text>") && Contains(">b\xef\xbf\xbd</text>"));
}

TEST_CASE("tensorboard: names that are no UTF-8 make no file that cannot be read") {
  const TemporaryFolder folder;
  EventWriter writer(folder / "b\xff", 0);
  writer.hyperparameters({{"data", {{"train", "c\xff"}}}});
  const std::vector<normlab::tensorboard::Event> events = events_of(writer);
  REQUIRE(events.size() == 3);
  normlab::tensorboard::Hyperparameters content;
  REQUIRE(content.ParseFromString(events[1].summary().value(0).metadata().plugin_data().content()));
  CHECK(content.session_start_info().hparams().at("data.train").string_value() == "c\xef\xbf\xbd");
}

TEST_CASE("tensorboard: histograms, texts, gains and hyperparameters as its plugins read them") {
  const TemporaryFolder folder;
  EventWriter writer(folder.path, 0);
  writer.hyperparameters({{"optim", {{"lr", 0.5}}}, {"log", {{"tensorboard", true}}}, {"init", "gpt3"}});
  writer.histogram("gains/x", 7, {1, 2, 2, 3, NAN});
  writer.write({{"step", 8},
                {"sample", "once upon"},
                {"gains", {{{"layer", 1}, {"name", "ffn.mid"}, {"mean", 1.25}}}}});
  const std::vector<normlab::tensorboard::Event> events = events_of(writer);
  REQUIRE(events.size() == 5);
  const auto& hparams = events[1].summary().value(0);
  CHECK(hparams.tag() == "_hparams_/session_start_info");
  CHECK(hparams.metadata().plugin_data().plugin_name() == "hparams");
  normlab::tensorboard::Hyperparameters content;
  REQUIRE(content.ParseFromString(hparams.metadata().plugin_data().content()));
  const auto& keys = content.session_start_info().hparams();
  CHECK(keys.at("optim.lr").number_value() == 0.5);
  CHECK(keys.at("log.tensorboard").bool_value());
  CHECK(keys.at("init").string_value() == "gpt3");
  CHECK_THAT(events[2].summary().value(0).tensor().string_val(0), Contains("| optim.lr | 0.5 |"));
  const auto& histogram = events[3].summary().value(0).histo();
  CHECK(events[3].step() == 7);
  CHECK(histogram.num() == 4);  // without the NaN
  CHECK(histogram.sum() == 8);
  CHECK(histogram.sum_squares() == 18);
  CHECK(histogram.bucket_size() == histogram.bucket_limit_size());
  double counted = 0;
  for (int i = 0; i < histogram.bucket_size(); ++i) {
    counted += histogram.bucket(i);
    if (i > 0) CHECK(histogram.bucket_limit(i) > histogram.bucket_limit(i - 1));
  }
  CHECK(counted == 4);
  CHECK(histogram.bucket(0) == 1);
  const auto& last = events[4].summary();
  CHECK(last.value(0).metadata().plugin_data().plugin_name() == "text");
  CHECK(last.value(0).tensor().string_val(0) == "once upon");
  CHECK(last.value(1).tag() == "gains/ffn.mid/1");
  CHECK(last.value(1).simple_value() == 1.25f);
}
