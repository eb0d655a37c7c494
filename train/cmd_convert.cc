// normlab convert: a model directory from one format to another, every kept tensor bit for bit. Read first:
// models/convert.h.
#include "models/convert.h"

#include <algorithm>
#include <cstdio>

#include "data/tokenizer.h"
#include "engine/base/check.h"
#include "engine/base/folder.h"
#include "engine/base/json.h"
#include "engine/base/log.h"
#include "train/checkpoint_dir.h"
#include "train/cli.h"
#include "train/commands.h"
#include "train/open_model.h"

namespace train {
namespace {

using engine::Json;
using models::ModelFormat;

const Usage usage = {
    "normlab convert",
    "a model directory from one format to another",
    {{"IN", "the model directory or run to read"}, {"OUT", "the model directory to write"}},
    {{"from", "hf|normlab", "what IN is", "", Arity::required},
     {"to", "hf|normlab", "what OUT is to be", "", Arity::required}},
    "Hugging Face models: gpt2, bert, roberta, xlm-roberta, camembert and "
    "roberta-prelayernorm with their masked-LM\n"
    "heads, xglm, llama, olmo2, olmoe, gemma2. Element types stay; tokenizer and generation files "
    "come along; tensors that are no part of the model are listed on "
    "stderr. What the other\n"
    "format cannot say is refused.\n"};

ModelFormat format_of(const std::string& name) {
  return name == "hf" ? ModelFormat::hf : ModelFormat::normlab;
}

/// Says in Hugging Face's files which tokens begin, end and pad a text, of a model whose files do not say it
/// yet.
void name_special_tokens(models::PortableModel& model, const std::string& folder) {
  if (!data::has_tokenizer(folder)) return;
  const auto tokenizer = data::load_tokenizer(folder);
  const bool theirs = tokenizer->kind() == data::TokenizerKind::bpe;  // the kind that transformers reads
  if (!theirs) return;
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"model_max_length", model.config.context},
                 {"clean_up_tokenization_spaces", false}};
  const auto role = [&](data::TokenId id, const char* name) {
    if (id == data::no_token) return;
    for (const auto& token : tokenizer->special_tokens())
      if (token.id == id) config[std::string(name) + "_token"] = token.text;
    const std::string key = std::string(name) + "_token_id";
    if (!model.kept.contains(key)) model.kept[key] = id;
  };
  const data::TokenId begin = find_special(*tokenizer, begin_names),
                      end = find_special(*tokenizer, end_names);
  role(end, "eos");
  role(begin != data::no_token ? begin : end, "bos");  // a text of ours begins behind the end of another
  role(find_special(*tokenizer, pad_names), "pad");
  role(find_special(*tokenizer, mask_names), "mask");
  const auto has = [&](const char* name) {
    return std::any_of(model.companions.begin(), model.companions.end(),
                       [&](const models::CompanionFile& file) { return file.name == name; });
  };
  if (has("tokenizer.json") && !has("tokenizer_config.json"))
    model.companions.push_back({"tokenizer_config.json", engine::json_text(config, 2) + "\n"});
}

}  // namespace

int cmd_convert(int argc, char** argv) {
  const Arguments args(usage, argc, argv);
  const std::string in = resolve_model(args.positional(0)), out = args.positional(1);
  engine::check(!engine::same_file(in, out), out, ": IN and OUT are the same folder");
  models::PortableModel model = models::read_portable(in, format_of(args.text("from")));
  const ModelFormat to = format_of(args.text("to"));
  if (to == ModelFormat::hf) name_special_tokens(model, in);
  models::write_portable(model, out, to);
  for (const models::DroppedTensor& tensor : model.dropped)
    engine::log_info("dropped ", tensor.name, ": ", tensor.reason);
  return 0;
}

}  // namespace train
