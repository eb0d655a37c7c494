// normlab convert: a model directory from one format to another, every kept tensor bit for bit. Read first:
// models/convert.h.
#include "models/convert.h"

#include <cstdio>

#include "engine/base/check.h"
#include "engine/base/folder.h"
#include "train/cli.h"
#include "train/commands.h"

namespace train {
namespace {

using models::ModelFormat;

const Usage usage = {"normlab convert",
                     "a model directory from one format to another",
                     {{"IN", "the model directory to read"}, {"OUT", "the model directory to write"}},
                     {{"from", "hf|normlab", "what IN is", "", Arity::required},
                      {"to", "hf|normlab", "what OUT is to be", "", Arity::required}},
                     "Hugging Face models: gpt2, bert, roberta and roberta-prelayernorm with their masked-LM "
                     "heads, xglm, llama, olmo2,\n"
                     "olmoe, gemma2. Element types stay; tensors that are no part of the model are listed on "
                     "stderr. What the other\n"
                     "format cannot say is refused.\n"};

ModelFormat format_of(const std::string& name) {
  return name == "hf" ? ModelFormat::hf : ModelFormat::normlab;
}

}  // namespace

int cmd_convert(int argc, char** argv) {
  const Arguments args(usage, argc, argv);
  const std::string in = args.positional(0), out = args.positional(1);
  engine::check(!engine::same_file(in, out), out, ": IN and OUT are the same folder");
  const models::PortableModel model = models::read_portable(in, format_of(args.text("from")));
  models::write_portable(model, out, format_of(args.text("to")));
  for (const models::DroppedTensor& tensor : model.dropped)
    std::fprintf(stderr, "dropped %s: %s\n", tensor.name.c_str(), tensor.reason.c_str());
  return 0;
}

}  // namespace train
