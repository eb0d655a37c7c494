// Read first: checkpoint_dir.h.
#include "train/checkpoint/checkpoint_dir.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <string_view>

#include "engine/base/check.h"
#include "engine/base/crc32c.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "engine/base/json.h"
#include "engine/base/log.h"

namespace train {
namespace {

using engine::check;
using engine::Json;

constexpr const char* manifest_name = "checkpoint.json";
constexpr const char* temporary_prefix = ".tmp-";
constexpr std::string_view damaged_prefix = "damaged-";

std::string checkpoints_folder(const std::string& run) { return run + "/checkpoints"; }

void flush_to_disk(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  check(fd >= 0, path, ": cannot open (", std::strerror(errno), ")");
  const int result = ::fsync(fd);
  const int error = errno;
  ::close(fd);
  check(result == 0, path, ": cannot flush to disk (", std::strerror(error), ")");
}

std::vector<std::string> files_in(const std::string& folder) {
  const std::vector<std::string> names = engine::list_folder(folder);
  for (const std::string& name : names)
    check(engine::is_regular_file(folder + "/" + name), folder, "/", name,
          ": a checkpoint holds plain files only");
  return names;
}

std::string hex(uint32_t x) {
  char text[16];
  std::snprintf(text, sizeof text, "%08x", x);
  return text;
}

/// ".tmp-step-00001000WHAT" in the same folder.
std::string hidden_name(const std::string& checkpoint, const char* what) {
  const size_t slash = checkpoint.rfind('/');
  return checkpoint.substr(0, slash + 1) + temporary_prefix + checkpoint.substr(slash + 1) + what;
}

constexpr const char* replaced = "-replaced";

/// Puts `from` in the place of `to`; a reader sees the old folder or the new one. What was at `to` is
/// removed.
void put_in_place(const std::string& from, const std::string& to) {
  if (engine::is_link(to) || !engine::is_directory(to))
    engine::remove_file(to);  // whatever it is, it is no checkpoint
  if (::rename(from.c_str(), to.c_str()) == 0) return;
  check(errno == ENOTEMPTY || errno == EEXIST, to, ": cannot move the checkpoint into place (",
        std::strerror(errno), ")");
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) {
    engine::remove_tree(from);
    return;
  }
  // Not every file system can exchange two names. Between the two moves neither has the step's name;
  // clean_checkpoints() moves the old one back when the program ends there.
  const std::string aside = hidden_name(to, replaced);
  engine::remove_tree(aside);
  engine::move_path(to, aside);
  engine::move_path(from, to);
  engine::remove_tree(aside);
}

/// Takes a folder out of sight in one step before its files go, so that no half checkpoint is ever listed.
void remove_checkpoint(const std::string& folder) {
  const std::string hidden = hidden_name(folder, "-gone");
  engine::remove_tree(hidden);
  ::rename(folder.c_str(), hidden.c_str());
  engine::remove_tree(hidden);
}

/// The step of "step-00001000"; -1 for other names.
int64_t step_of_name(const std::string& name) {
  if (name.rfind("step-", 0) != 0 || name.size() < 13 || name.size() > 23) return -1;
  int64_t step = 0;
  for (char c : name.substr(5)) {
    if (c < '0' || c > '9') return -1;
    step = step * 10 + (c - '0');
  }
  return name == checkpoint_name(step) ? step : -1;
}

Json read_manifest(const std::string& folder) {
  const std::string path = folder + "/" + manifest_name;
  const Json manifest = engine::read_json(path, size_t(1) << 20);
  engine::check_keys(manifest, {"format", "version", "step", "valid_loss", "files"}, path);
  check(manifest.value("format", Json()) == "normlab-checkpoint" && manifest.value("version", Json()) == 1,
        path, ": not a normlab-checkpoint of version 1");
  check(manifest.contains("step") && manifest.contains("files") && manifest["files"].is_object(), path,
        ": step or files is missing");
  return manifest;
}

CheckpointInfo info_of(const std::string& folder, const Json& manifest) {
  const std::string what = folder + "/" + manifest_name;
  CheckpointInfo info{folder, engine::json_int(manifest["step"], what + ": step", 0, int64_t(1) << 53), {}};
  const Json loss = manifest.value("valid_loss", Json());
  if (!loss.is_null()) info.valid_loss = engine::json_number(loss, what + ": valid_loss");
  return info;
}

/// The smallest validation loss first, ties by age; those without one last.
std::vector<CheckpointInfo> by_quality(std::vector<CheckpointInfo> all) {
  std::stable_sort(all.begin(), all.end(), [](const CheckpointInfo& a, const CheckpointInfo& b) {
    return a.valid_loss.value_or(INFINITY) < b.valid_loss.value_or(INFINITY);
  });
  return all;
}

}  // namespace

std::string checkpoint_name(int64_t step) {
  char text[32];
  std::snprintf(text, sizeof text, "step-%08lld", static_cast<long long>(step));
  return text;
}

CheckpointWriter::CheckpointWriter(const std::string& run, int64_t step) : run_(run), step_(step) {
  temporary_ = checkpoints_folder(run) + "/" + temporary_prefix + checkpoint_name(step);
  engine::remove_tree(temporary_);
  engine::make_directories(temporary_);
}

CheckpointWriter::~CheckpointWriter() { engine::remove_tree(temporary_); }

std::string CheckpointWriter::commit(std::optional<double> valid_loss) {
  Json files = Json::object();
  for (const std::string& name : files_in(temporary_)) {
    const std::string path = temporary_ + "/" + name;
    flush_to_disk(path);
    const engine::MappedFile map(path);
    files[name] = {{"bytes", map.size()}, {"crc32c", hex(engine::crc32c(map.data(), map.size()))}};
  }
  Json manifest = {{"format", "normlab-checkpoint"}, {"version", 1}, {"step", step_}};
  manifest["valid_loss"] = valid_loss && std::isfinite(*valid_loss) ? Json(*valid_loss) : Json();
  manifest["files"] = files;
  engine::write_file(temporary_ + "/" + manifest_name, engine::json_text(manifest, 1) + "\n");
  const std::string parent = checkpoints_folder(run_), final = parent + "/" + checkpoint_name(step_);
  put_in_place(temporary_, final);
  flush_to_disk(parent);
  return final;
}

CheckpointInfo verify_checkpoint(const std::string& folder) {
  const Json manifest = read_manifest(folder);
  for (const std::string& name : engine::list_folder(folder))
    check(name == manifest_name || name.starts_with('.') || manifest["files"].contains(name), folder, "/",
          name, ": is not in ", manifest_name, ": nothing says that it belongs to the checkpoint");
  check(!manifest["files"].empty(), folder, "/", manifest_name, ": lists no files");
  for (const auto& [name, entry] : manifest["files"].items()) {
    const std::string path = folder + "/" + name, what = folder + "/" + manifest_name + ": " + name;
    check(engine::is_plain_file_name(name), what, ": not a plain file name");
    engine::check_keys(entry, {"bytes", "crc32c"}, what);
    check(entry.contains("bytes") && entry.contains("crc32c"), what, ": bytes or crc32c is missing");
    const uint64_t bytes = uint64_t(engine::json_int(entry["bytes"], what + ".bytes", 0, int64_t(1) << 53));
    const std::string sum = engine::json_string(entry["crc32c"], what + ".crc32c");
    const engine::MappedFile map(path);
    check(map.size() == bytes, path, ": has ", map.size(), " bytes, the checkpoint was written with ", bytes);
    check(hex(engine::crc32c(map.data(), map.size())) == sum, path,
          ": its checksum is not the one it was written with: the file was damaged or altered");
  }
  const CheckpointInfo info = info_of(folder, manifest);
  const int64_t named = step_of_name(folder.substr(folder.rfind('/') + 1));
  check(named < 0 || named == info.step, folder, ": holds the checkpoint of step ", info.step);
  return info;
}

std::vector<CheckpointInfo> list_checkpoints(const std::string& run) {
  std::vector<CheckpointInfo> out;
  if (!engine::is_directory(checkpoints_folder(run))) return out;
  for (const std::string& name : engine::list_folder(checkpoints_folder(run))) {
    const std::string folder = checkpoints_folder(run) + "/" + name;
    const int64_t step = step_of_name(name);
    if (step < 0 || !engine::is_directory(folder)) continue;
    CheckpointInfo info{folder, step, {}};
    try {
      info = info_of(info.folder, read_manifest(info.folder));
    } catch (const engine::Error&) {  // verify_checkpoint() tells what is wrong when the checkpoint is used
    }
    out.push_back(info);
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.step < b.step; });
  return out;
}

std::optional<CheckpointInfo> checkpoint_to_resume(const std::string& run) {
  std::vector<CheckpointInfo> all = list_checkpoints(run);
  std::string first_error;
  for (; !all.empty(); all.pop_back()) {
    try {
      return verify_checkpoint(all.back().folder);
    } catch (const engine::Error& e) {
      if (first_error.empty()) first_error = e.what();
      engine::log_warning(e.what(), "; trying the checkpoint before it");
    }
  }
  check(first_error.empty(), run, ": no checkpoint is intact: ", first_error);
  return {};
}

void set_damaged_aside(const std::string& run, int64_t from) {
  for (const CheckpointInfo& c : list_checkpoints(run)) {
    const std::string name = c.folder.substr(c.folder.rfind('/') + 1);
    if (step_of_name(name) <= from) continue;
    const std::string aside = engine::join_text(checkpoints_folder(run), "/", damaged_prefix, name);
    engine::remove_tree(aside);
    engine::move_path(c.folder, aside);
  }
}

std::string resolve_model(const std::string& path) {
  check(engine::is_directory(path), path,
        engine::file_exists(path) ? ": is a file, not a folder" : ": no such folder");
  if (!engine::is_directory(checkpoints_folder(path))) {
    if (engine::file_exists(path + "/" + manifest_name)) verify_checkpoint(path);
    bool weights = false;
    for (const std::string& name : engine::list_folder(path))
      weights = weights || name.ends_with(".safetensors") || name.ends_with(".bin");
    check(weights || !engine::file_exists(path + "/metrics.jsonl"), path, ": the run has no checkpoint yet");
    return path;
  }
  const std::vector<CheckpointInfo> all = list_checkpoints(path);
  check(!all.empty(), path, ": the run has no checkpoint yet");
  const CheckpointInfo best = by_quality(all).front();
  const CheckpointInfo& chosen = best.valid_loss ? best : all.back();
  try {
    verify_checkpoint(chosen.folder);
  } catch (const engine::Error& e) {
    std::string before;
    for (const CheckpointInfo& c : all)
      if (c.step < chosen.step) before = c.folder;
    engine::fail(e.what(),
                 before.empty() ? "; there is no earlier checkpoint" : "; the one before it is " + before);
  }
  return chosen.folder;
}

void prune_checkpoints(const std::string& run, int64_t newest, int64_t keep, int64_t keep_best) {
  std::vector<CheckpointInfo> all = list_checkpoints(run);
  std::erase_if(all, [&](const CheckpointInfo& c) { return c.step > newest; });
  const std::vector<CheckpointInfo> best = by_quality(all);
  const auto is_best = [&](int64_t step) {
    for (size_t i = 0; i < best.size() && int64_t(i) < keep_best && best[i].valid_loss; ++i)
      if (best[i].step == step) return true;
    return false;
  };
  for (size_t i = 0; i < all.size(); ++i)
    if (int64_t(all.size() - i) > keep && !is_best(all[i].step)) remove_checkpoint(all[i].folder);
  for (const std::string& name : engine::list_folder(checkpoints_folder(run))) {
    if (!name.starts_with(damaged_prefix)) continue;
    const int64_t step = step_of_name(name.substr(damaged_prefix.size()));
    if (step >= 0 && step <= newest) engine::remove_tree(checkpoints_folder(run) + "/" + name);
  }
  clean_checkpoints(run);
}

void clean_checkpoints(const std::string& run) {
  const std::string folder = checkpoints_folder(run), prefix = temporary_prefix;
  if (!engine::is_directory(folder)) return;
  for (const std::string& name : engine::list_folder(folder)) {
    if (!name.starts_with(prefix)) continue;
    if (name.ends_with(replaced)) {
      const std::string step =
          name.substr(prefix.size(), name.size() - prefix.size() - std::strlen(replaced));
      if (step_of_name(step) >= 0 && !engine::file_exists(folder + "/" + step))
        engine::move_path(folder + "/" + name, folder + "/" + step);
    }
    engine::remove_tree(folder + "/" + name);
  }
}

}  // namespace train
