// Fuzzing the token file of `normlab forward`, for a causal and a masked LM and two classifiers. Of what was
// accepted every shape fits and every id is one of the vocabulary.
#include "fuzz.h"
#include "models/token_file.h"

namespace {

models::ModelConfig config(const std::string& more) {
  const std::string base =
      R"("vocab_size": 8, "context": 6, "layers": 1, "width": 8, "heads": 2, "ffn_width": 8,)"
      R"("activation": "gelu", "positions": "learned", "norms": "pre_ln")";
  return models::model_config_from_section(engine::parse_json("{" + base + ", " + more + "}", "fuzz"),
                                           "fuzz");
}

void read(const engine::Json& json, const models::ModelConfig& c) {
  fuzz_one([&] {
    const models::TokenBatch batch = models::token_batch(json, c, "fuzz");
    const engine::Tensor& ids = batch.tokens.ids;
    require(ids.rank() == 2 && ids.size(1) <= c.context && batch.scored >= 0);
    for (int64_t i = 0; i < ids.numel(); ++i)
      require(ids.data<int32_t>()[i] >= 0 && ids.data<int32_t>()[i] < c.vocab_size);
  });
}

}  // namespace

std::vector<std::string> fuzz_seeds() {
  return {
      R"({"input_ids": [[1, 2, 3], [4, 5, 6]]})",
      R"({"input_ids": [[1, 2, 3]], "labels": [[-100, 2, 3]], "attention_mask": [[1, 1, 0]], "token_type_ids": [[0, 1, 1]]})",
      R"({"input_ids": [[1, 2], [3, 4]], "labels": [0, 1]})", R"({"input_ids": [[1, 2]], "labels": [0.5]})"};
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  static const std::vector<models::ModelConfig> configs = {
      config(R"("objective": "clm")"), config(R"("objective": "mlm", "token_types": 2)"),
      config(R"("objective": "classify", "classes": 3)"), config(R"("objective": "classify", "classes": 1)")};
  return fuzz_one([&] {
    const engine::Json json = engine::parse_json(std::string(input_text(bytes, size)), "fuzz");
    for (const models::ModelConfig& c : configs) read(json, c);
  });
}
