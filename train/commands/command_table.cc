// The table of normlab's commands. Each lives in NAME.cc; cli.h says how they are found and what they exit
// with. A new command is one line here (alphabetical), one in commands.h, and its file.
#include "train/commands/command_pages.h"
#include "train/commands/commands.h"

namespace train {

CommandTable normlab_commands() {
  std::vector<Command> commands = {
      {"bench", "matrix products and ops against this machine's ceilings", cmd_bench, true},
      {"compare", "placements side by side, with error bars", cmd_compare},
      {"completion", "completion of this command line for bash, zsh or fish", cmd_completion},
      {"convert", "a model directory to or from Hugging Face's format, bit for bit", cmd_convert},
      {"corpus", "text by name or path, cleaned and split", cmd_corpus},
      {"eval", "perplexity of a text, and zero-shot tasks", cmd_eval},
      {"fill-mask", "what a masked LM puts in place of each mask", cmd_fill_mask},
      {"finetune", "GLUE's tasks on a pretrained masked LM", cmd_finetune},
      {"forward", "logits, loss and gradients of a model on given tokens, as safetensors", cmd_forward},
      {"generate", "continue a text with a causal model", cmd_generate},
      {"gradcheck", "gradients of every op against differences in float64", cmd_gradcheck},
      {"help", "what a command takes; man pages and the reference page", cmd_help},
      {"inspect", "parameters, memory plan, FLOPs and norm placement of a model", cmd_inspect},
      {"prepare", "text, or llm.c's and nanoGPT's token files, to token shards", cmd_prepare},
      {"presets", "placements, sizes and rules of initial values by name", cmd_presets},
      {"probe", "gradients, gains and attention by layer; the rate at which training breaks", cmd_probe},
      {"report", "one page of curves, gradients, gains and tables", cmd_report},
      {"tokenizer", "learn and use tokenizers; import GPT-2's and RoBERTa's", cmd_tokenizer},
      {"train", "pretrain a causal or masked language model", cmd_train, true},
  };
  return {"normlab", "trains transformers and shows what norm placement does", std::move(commands), NORMLAB_VERSION};
}

}  // namespace train
