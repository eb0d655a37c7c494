// normlab convert: a model directory from one format to another, every kept tensor bit for bit. Read first:
// models/convert.h.
#include "models/convert.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <set>
#include <string_view>

#include "data/tokenizer.h"
#include "engine/base/check.h"
#include "engine/base/folder.h"
#include "engine/base/json.h"
#include "engine/base/log.h"
#include "engine/base/text.h"
#include "train/checkpoint/checkpoint_dir.h"
#include "train/commands/cli.h"
#include "train/commands/commands.h"
#include "train/evaluation/count_progress.h"
#include "train/open_model.h"

namespace train {

// models/hf/custom_code, part of the binary (CMakeLists.txt)
extern const std::string_view embedded_modeling_normlab_py, embedded_configuration_normlab_py;

namespace {

using engine::Json;
using models::ModelFormat;

/// In lines of at most 100 characters.
std::string architecture_names() {
  std::string text, line;
  std::set<std::string_view> named;  // a model with and without a classifier's head has one name
  for (const models::HfArchitecture& architecture : models::hf_architectures()) {
    if (!named.insert(architecture.model_type).second) continue;
    if (line.size() + architecture.model_type.size() > 96) text += line + ",\n", line.clear();
    line += (line.empty() ? "" : ", ") + architecture.model_type;
  }
  return text + line;
}

const Usage& usage() {
  static const Usage usage = {
      "normlab convert",
      "a model directory from one format to another",
      {{"IN", "the model directory or run to read"}, {"OUT", "the model directory to write"}},
      {{"from", "hf|normlab", "what IN is", "", Arity::required},
       {"to", "hf|normlab", "what OUT is to be", "", Arity::required},
       {"custom-code", "",
        "with --to hf: write modeling_normlab.py beside the weights, which says any placement"},
       {"json", "", "one JSON object on standard output: what was written"}},
      "Element types stay; tokenizer and generation files come along; tensors that are no part of the model\n"
      "are listed on stderr. A model that stands in OUT is replaced, if none of its files would stay beside\n"
      "the new ones. What the other format cannot say is refused, but for --custom-code: transformers loads\n"
      "such a folder with trust_remote_code=True. Hugging Face models that are read and written:\n" +
          architecture_names() + "\n"};
  return usage;
}

ModelFormat format_of(const std::string& name) {
  return name == "hf" ? ModelFormat::hf : ModelFormat::normlab;
}

/// Says in Hugging Face's files which tokens begin, end and pad a text, of a model whose files do not say it
/// yet.
void name_special_tokens(models::PortableModel& model, const std::string& folder) {
  if (!data::has_tokenizer(folder)) return;
  std::unique_ptr<const data::Tokenizer> tokenizer;
  try {
    tokenizer = data::load_tokenizer(folder);
  } catch (const engine::Error& e) {
    engine::log_warning(
        e.what(),
        "; the tokenizer's files are copied as they are, and which tokens begin and end a text is not said");
    return;
  }
  const data::TokenizerKind kind = tokenizer->kind();
  const bool ours = kind == data::TokenizerKind::byte || kind == data::TokenizerKind::character ||
                    kind == data::TokenizerKind::word;  // which transformers does not read
  if (ours) return;
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
  const data::SpecialRoles& roles = tokenizer->roles();
  role(roles.end, "eos");
  // A text of ours begins behind the end of another.
  role(roles.begin != data::no_token ? roles.begin : roles.end, "bos");
  role(roles.pad, "pad");
  role(roles.mask, "mask");
  const auto has = [&](const char* name) {
    return std::any_of(model.companions.begin(), model.companions.end(),
                       [&](const models::CompanionFile& file) { return file.name == name; });
  };
  if (has("tokenizer.json") && !has("tokenizer_config.json"))
    model.companions.push_back({"tokenizer_config.json", engine::json_text(config, 2) + "\n"});
}

/// The files that a model converted from `in` may become.
std::set<std::string> names_to_write(const std::string& in, bool custom_code) {
  std::set<std::string> names = {"config.json", "model.safetensors"};
  if (custom_code) names.insert({"modeling_normlab.py", "configuration_normlab.py"});
  for (const std::string& name : models::companion_names())
    if (engine::file_exists(in + "/" + name)) names.insert(name);
  if (names.contains("tokenizer.json")) names.insert("tokenizer_config.json");
  return names;
}

engine::TensorProgress bar(const std::string& what) {
  return [what, shown = std::shared_ptr<CountProgress>()](int64_t done, int64_t total) mutable {
    if (!shown) shown = std::make_shared<CountProgress>(what, "tensors", total);
    shown->update(done, double(done) / double(total));
    if (done == total) shown.reset();
  };
}

}  // namespace

int cmd_convert(int argc, char** argv) {
  const Arguments args(usage(), argc, argv);
  const std::string named = args.positional(0), in = resolve_model(named), out = args.positional(1);
  engine::check(!engine::same_file(in, out) && !engine::same_file(named, out), out,
                ": IN and OUT are the same folder");
  for (const char* part :
       {"metrics.jsonl", "checkpoints", "checkpoint.json"})  // its config.json would be lost
    engine::check(!engine::file_exists(out + "/" + part), out, ": a run stands there (", part,
                  "); give another OUT");
  models::check_no_other_model(out,
                               names_to_write(in, args.on("custom-code")));  // before the weights are read
  double weights = 0;  // bytes
  for (const std::string& name : engine::list_folder(in))
    if (name.ends_with(".safetensors")) weights += double(engine::file_size(in + "/" + name));
  models::PortableModel model = models::read_portable(in, format_of(args.text("from")), bar("reading " + in));
  const ModelFormat to = format_of(args.text("to"));
  const bool custom = args.on("custom-code");
  engine::check(!custom || to == ModelFormat::hf, "--custom-code is for --to hf");
  if (to == ModelFormat::hf) name_special_tokens(model, in);
  const engine::TensorProgress writing = bar("writing " + out);
  if (custom)
    models::write_custom_code(model, out,
                              {{"modeling_normlab.py", std::string(embedded_modeling_normlab_py)},
                               {"configuration_normlab.py", std::string(embedded_configuration_normlab_py)}},
                              writing);
  else
    models::write_portable(model, out, to, writing);
  for (const models::DroppedTensor& tensor : model.dropped)
    engine::log_info("dropped ", tensor.name, ": ", tensor.reason);
  if (args.on("json")) {
    Json dropped = Json::array();
    for (const models::DroppedTensor& tensor : model.dropped) dropped.push_back(tensor.name);
    const Json result = {{"out", out},
                         {"format", args.text("to")},
                         {"tensors", model.tensors.size()},
                         {"bytes_read", weights},
                         {"dropped", dropped}};
    std::printf("%s\n", engine::json_text(result, 1).c_str());
  }
  return 0;
}

}  // namespace train
