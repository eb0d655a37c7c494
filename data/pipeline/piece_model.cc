// The factory of models. Read first: piece_model.h.
#include "data/pipeline/piece_model.h"

#include "data/pipeline/bpe_encoder.h"
#include "engine/base/check.h"

namespace data {

std::unique_ptr<PieceModel> make_piece_model(const JsonPart& part, bool bytes) {
  // Files of the first versions leave the type out; what they hold tells the models apart.
  const std::string type = part.has("type")                        ? part.type()
                           : part.has("merges")                    ? "BPE"
                           : part.has("unk_id")                    ? "Unigram"
                           : part.has("continuing_subword_prefix") ? "WordPiece"
                                                                   : "WordLevel";
  if (type == "BPE") return make_bpe(part, bytes);
  if (type == "WordPiece") return make_word_piece(part);
  if (type == "Unigram") return make_unigram(part);
  if (type == "WordLevel") return make_word_level(part);
  fail_unknown_type(part, {"BPE", "WordPiece", "Unigram", "WordLevel"});
}

}  // namespace data
