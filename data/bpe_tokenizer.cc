// A byte-level BPE model as a pipeline. Read first: bpe.h, pipeline/pipeline_tokenizer.h.
#include "data/bpe.h"
#include "data/pipeline/bpe_encoder.h"
#include "data/pipeline/pipeline_tokenizer.h"

namespace data {

Pipeline bpe_pipeline(const BpeModel& model, const std::string& what) {
  check_bpe(model, what);
  const engine::SortedJson byte_level = {{"type", "ByteLevel"},
                                         {"add_prefix_space", model.prefix_space},
                                         {"trim_offsets", true},
                                         {"use_regex", true}};
  engine::SortedJson decoder = byte_level;
  decoder["add_prefix_space"] = false;
  Pipeline pipeline;
  pipeline.json = {nullptr, byte_level, engine::parse_sorted_json(model.post_processor, what), decoder};
  pipeline.added = model.special;
  pipeline.pre_tokenizer = make_pre_tokenizer({pipeline.json.pre_tokenizer, what});
  pipeline.pre_tokenizer->leave_bytes();
  pipeline.model =
      std::make_unique<BpeEncoder>(Vocabulary(token_texts(model)), model.merges, BpeOptions(), what);
  if (pipeline.json.post_processor.is_object())
    pipeline.post_processor =
        PostProcessor(JsonPart(pipeline.json.post_processor, what + ": post_processor"));
  pipeline.decoder = make_decoder({pipeline.json.decoder, what});
  return pipeline;
}

std::unique_ptr<Tokenizer> make_bpe_tokenizer(const BpeModel& model, const std::string& what) {
  return std::make_unique<PipelineTokenizer>(bpe_pipeline(model, what), what);
}

}  // namespace data
