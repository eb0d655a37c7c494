// One text that `normlab generate` makes: tokens to text as they come, up to a stop string.
#pragma once

#include <string>
#include <vector>

#include "data/stop_strings.h"
#include "data/tokenizer.h"
#include "data/utf8_stream.h"
#include "engine/base/json.h"

namespace train {

class GeneratedText {
 public:
  /// `before`: the token before the first one. A token's text is looked up behind its neighbour, because a
  /// word tokenizer decides by that whether a space stands between them.
  GeneratedText(const data::Tokenizer& tokenizer, int32_t before, const std::vector<std::string>& stops)
      : tokenizer_(&tokenizer), before_(data::TokenId(before)), stops_(stops) {}

  /// The text that the token makes certain.
  std::string add(int32_t id) {
    const data::TokenId pair[] = {before_, data::TokenId(id)};
    const size_t skip = tokenizer_->decode(std::span(pair).first(1)).size();
    before_ = pair[1];
    ids_.push_back(id);
    return keep(stops_.push(stream_.push(std::string_view(tokenizer_->decode(pair)).substr(skip))));
  }
  /// A stop string stands in it.
  bool stopped() const { return stops_.found(); }
  /// The rest of the text, which ended so.
  std::string finish(const char* how) {
    how_ = how;
    const std::string rest = keep(stops_.push(stream_.finish()));
    return rest + keep(stops_.finish());
  }
  bool begun() const { return !ids_.empty(); }
  bool ended() const { return !how_.empty(); }

  engine::Json json() const {
    const bool cut = how_ == "length" || how_ == "interrupted";
    return {{"text", text_}, {"ids", ids_}, {"ended", !cut}, {"end", how_}};
  }

 private:
  std::string keep(const std::string& piece) {
    text_ += piece;
    return piece;
  }

  const data::Tokenizer* tokenizer_;
  data::TokenId before_;
  data::Utf8Stream stream_;
  data::StopStrings stops_;
  std::vector<int32_t> ids_;
  std::string text_, how_;
};

}  // namespace train
