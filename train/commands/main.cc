// normlab: the table of commands. Each lives in NAME.cc; cli.h says how they are found and what they exit
// with. A new command is one line here (alphabetical), one in commands.h, and its file.
#include <fcntl.h>

#include <cerrno>
#include <csignal>
#include <cstdio>

#include "engine/comm/world.h"
#include "train/commands/cli.h"
#include "train/commands/commands.h"

namespace {

/// A program that was started with 0, 1 or 2 closed, as daemons are, would get that number for the next file
/// that it opens, and write its messages into it.
void reserve_standard_descriptors() {
  for (int fd = 0; fd <= 2; ++fd)
    if (::fcntl(fd, F_GETFD) < 0 && errno == EBADF)
      ::open("/dev/null", O_RDWR);  // takes the lowest number: fd
}

}  // namespace

int main(int argc, char** argv) {
  using namespace train;
  reserve_standard_descriptors();
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow (ulimit -f) is then an error of write()
  const std::vector<Command> commands = {
      {"bench", "matrix products and ops against this machine's ceilings", cmd_bench, true},
      {"compare", "placements side by side, with error bars", cmd_compare},
      {"convert", "a model directory to or from Hugging Face's format, bit for bit", cmd_convert},
      {"corpus", "text by name or path, cleaned and split", cmd_corpus},
      {"eval", "perplexity of a text, and zero-shot tasks", cmd_eval},
      {"fill-mask", "what a masked LM puts in place of each mask", cmd_fill_mask},
      {"forward", "logits, loss and gradients of a model on given tokens, as safetensors", cmd_forward},
      {"generate", "continue a text with a causal model", cmd_generate},
      {"gradcheck", "gradients of every op against differences in float64", cmd_gradcheck},
      {"inspect", "parameters, memory plan, FLOPs and norm placement of a model", cmd_inspect},
      {"prepare", "text, or llm.c's and nanoGPT's token files, to token shards", cmd_prepare},
      {"probe", "gradients, gains and attention by layer; the rate at which training breaks", cmd_probe},
      {"report", "one page of curves, gradients, gains and tables", cmd_report},
      {"tokenizer", "learn and use tokenizers; import GPT-2's and RoBERTa's", cmd_tokenizer},
      {"train", "pretrain a causal or masked language model", cmd_train, true},
  };
  const int code = run_commands({"normlab", "trains transformers and shows what norm placement does", commands,
                                 NORMLAB_VERSION, /*top=*/true},
                                argc, argv);
  std::fflush(stdout);
  engine::leave_world(code, /*together=*/true);
  return code;
}
