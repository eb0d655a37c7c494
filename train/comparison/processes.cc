// Read first: processes.h.
#include "train/comparison/processes.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>

#include "engine/base/check.h"
#include "train/checkpoint/run_dir.h"
#include "train/evaluation/count_progress.h"
#include "train/signals.h"

namespace train {

namespace {

pid_t start(const ChildCommand& command, std::string slot) {
  std::vector<std::string> words = command.arguments;
  words.insert(words.begin(), "normlab");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const int log = ::open(command.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  engine::check(log >= 0, command.log, ": cannot open (", std::strerror(errno), ")");
  const pid_t parent = ::getpid(), child = ::fork();
  engine::check(child >= 0, "cannot start a process (", std::strerror(errno), ")");
  if (child > 0) {
    ::close(log);
    return child;
  }
  if (!slot.empty()) ::putenv(slot.data());
  ::setpgid(0, 0);  // out of the terminal's group: Ctrl-C is the parent's
  ::prctl(PR_SET_PDEATHSIG, SIGINT);
  if (::getppid() != parent) ::_exit(130);  // it died in between
  ::signal(SIGINT, SIG_DFL);
  ::signal(SIGTERM, SIG_DFL);
  ::dup2(log, 1);
  ::dup2(log, 2);
  ::execv("/proc/self/exe", argv.data());
  ::_exit(127);
}

ChildEnd end_of(int status) {
  if (!WIFEXITED(status)) return ChildEnd::failed;
  return WEXITSTATUS(status) == 0     ? ChildEnd::done
         : WEXITSTATUS(status) == 130 ? ChildEnd::interrupted
         : WEXITSTATUS(status) == 2   ? ChildEnd::refused
                                      : ChildEnd::failed;
}

}  // namespace

void wait_until_free(const std::string& folder) {
  int tenths = 0;
  while (tenths++ < 600 && RunDir::in_use(folder)) ::usleep(100'000);
  engine::check(tenths <= 600, folder,
                ": another process is still training there; --resume goes on once it has ended");
}

std::string last_words(const std::string& log) {
  constexpr std::streamoff most = 4096;
  std::ifstream in(log, std::ios::binary | std::ios::ate);
  const std::streamoff size = in ? std::streamoff(in.tellg()) : 0;
  in.seekg(std::max<std::streamoff>(0, size - most));
  std::string line, last;
  while (std::getline(in, line))
    if (!line.empty()) last = line;
  const size_t name = last.starts_with("normlab ") ? last.find(": ") : last.npos;
  return name == last.npos ? last : last.substr(name + 2);
}

std::vector<ChildEnd> run_children(const std::vector<ChildCommand>& commands,
                                   const std::vector<std::string>& slots) {
  const SignalGuard signals;
  std::vector<ChildEnd> out(commands.size(), ChildEnd::interrupted);
  struct Running {
    size_t command, slot;
  };
  std::map<pid_t, Running> running;
  std::vector<size_t> free;  // slots, the first one at the end
  for (size_t i = slots.size(); i > 0; --i) free.push_back(i - 1);
  CountProgress progress("training", "runs", int64_t(commands.size()));
  int64_t ended = 0;
  bool asked = false;
  for (size_t next = 0; next < commands.size() || !running.empty();) {
    if (signals.raised() && !asked) {
      asked = true;
      for (const auto& [child, what] : running) ::kill(child, SIGINT);
    }
    while (!asked && next < commands.size() && !free.empty()) {
      running.emplace(start(commands[next], slots[free.back()]), Running{next, free.back()});
      free.pop_back();
      ++next;
    }
    if (asked && running.empty()) break;
    // Not a blocking wait: a signal that arrives just before one would wait for a child's end.
    int status = 0;
    const pid_t child = ::waitpid(-1, &status, WNOHANG);
    if (child <= 0) {
      ::usleep(20'000);
      continue;
    }
    if (const auto found = running.find(child); found != running.end()) {
      out[found->second.command] = end_of(status);
      free.push_back(found->second.slot);
      running.erase(found);
      ++ended;
      progress.update(ended, double(ended) / double(commands.size()));
    }
  }
  return out;
}

}  // namespace train
