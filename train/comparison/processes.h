// Child processes of this program, some at a time. Ctrl-C reaches this process alone: it asks each child once
// to stop, so that runs leave a checkpoint. A child whose parent dies is asked the same by the kernel.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace train {

struct ChildCommand {
  std::vector<std::string> arguments;  // of normlab: "train", "--config", ...
  std::string log;                     // file that its output is appended to
};

/// refused: by exit code 2, of bad input or a disk that is full: to begin it once more would change nothing.
enum class ChildEnd { done, failed, interrupted, refused };

/// Runs all of them, in each slot one at a time; how each ended. After Ctrl-C no further one is begun. A slot is
/// what its children's environment has in addition, "NAME=value", or "" for nothing.
std::vector<ChildEnd> run_children(const std::vector<ChildCommand>& commands,
                                   const std::vector<std::string>& slots);

/// Waits while another process holds the run in `folder`: one whose parent was killed writes its checkpoint
/// yet. Error: it does so for more than a minute.
void wait_until_free(const std::string& folder);

/// What a child said last, without its name in front: the reason of one that was refused.
std::string last_words(const std::string& log);

}  // namespace train
