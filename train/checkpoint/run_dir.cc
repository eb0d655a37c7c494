// Read first: run_dir.h.
#include "train/checkpoint/run_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "train/checkpoint/checkpoint_dir.h"

namespace train {

using engine::check;

RunDir::RunDir(const std::string& path, RunStart start) : path_(path) {
  engine::make_directories(path);
  const std::string lock_path = path + "/.lock";
  lock_ = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  check(lock_ >= 0, path, ": cannot write into the folder (", std::strerror(errno), ")");
  // The kernel drops the lock with the process, however that ends: a killed run leaves nothing to clean up.
  // A file system without locks lets everybody in.
  const bool locked = ::flock(lock_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
  if (locked) clean_checkpoints(path_);
  const bool free_for = start == RunStart::resume || !holds_run();
  if (locked && free_for) return;
  ::close(lock_);
  check(locked, path, ": another process is training into this folder");
  engine::fail(path, ": already holds a run; go on with it by --resume, or give another --out");
}

void RunDir::check_free(const std::string& path, RunStart start) {
  check(!in_use(path), path, ": another process is training into this folder");
  const bool holds = engine::file_exists(path + "/config.json") ||
                     (engine::is_directory(path) && !list_checkpoints(path).empty());
  check(start == RunStart::resume || !holds, path,
        ": already holds a run; go on with it by --resume, or give another --out");
}

RunDir::~RunDir() { ::close(lock_); }

bool RunDir::holds_run() const {
  return engine::file_exists(config_path()) || !list_checkpoints(path_).empty();
}

bool RunDir::in_use(const std::string& path) {
  const int lock = ::open((path + "/.lock").c_str(), O_RDWR | O_CLOEXEC);
  if (lock < 0) return false;
  const bool free = ::flock(lock, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
  ::close(lock);
  return !free;
}

void RunDir::write_config(const engine::Json& config) const {
  engine::write_file(config_path(), engine::exact_json_text(config, config_path(), 1) + "\n");
}

}  // namespace train
