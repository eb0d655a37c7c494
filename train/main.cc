// normlab: the table of commands. Each lives in cmd_NAME.cc; cli.h says how they are found and what they exit
// with. A new command is one line here (alphabetical), one in commands.h, and its file.
#include "train/cli.h"
#include "train/commands.h"

int main(int argc, char** argv) {
  using namespace train;
  const std::vector<Command> commands = {
      {"bench", "matrix products and ops against this machine's ceilings", cmd_bench},
      {"convert", "a model directory to or from Hugging Face's format, bit for bit", cmd_convert},
      {"corpus", "text by name or path, cleaned and split", cmd_corpus},
      {"forward", "logits, loss and gradients of a model on given tokens, as safetensors", cmd_forward},
      {"gradcheck", "gradients of every op against differences in float64", cmd_gradcheck},
      {"inspect", "parameters, memory plan, FLOPs and norm placement of a model", cmd_inspect},
      {"prepare", "text, or llm.c's and nanoGPT's token files, to token shards", cmd_prepare},
      {"report", "one page of curves, gradients, gains and tables", cmd_report},
      {"tokenizer", "learn and use tokenizers; import GPT-2's and RoBERTa's", cmd_tokenizer},
      {"train", "pretrain a causal or masked language model", cmd_train},
  };
  return run_commands(
      {"normlab", "trains transformers and shows what norm placement does", commands, NORMLAB_VERSION}, argc,
      argv);
}
