// Decoding by plain strings: replacing, cutting off characters at the ends, joining. Read first: decoder.h,
// text_pattern.h.
#include <numeric>

#include "data/pipeline/decoder.h"
#include "data/pipeline/text_pattern.h"

namespace data {
namespace {

class ReplaceDecoder final : public Decoder {
 public:
  explicit ReplaceDecoder(const JsonPart& part) : pattern_(part, "pattern"), content_(part.text("content")) {
    part.only({"pattern", "content"});
  }
  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      std::string out;
      size_t from = 0;
      pattern_.each(token, [&](size_t begin, size_t end) {
        out.append(token, from, begin - from).append(content_);
        from = end;
      });
      token = out.append(token, from);
    }
  }

 private:
  TextPattern pattern_;
  std::string content_;
};

/// Up to `start` times `content` off the front of each token, up to `stop` times off its end.
class StripDecoder final : public Decoder {
 public:
  explicit StripDecoder(const JsonPart& part)
      : content_(part.character_or("content", " ")),
        start_(part.number_or("start", 0, 0, INT64_MAX)),
        stop_(part.number_or("stop", 0, 0, INT64_MAX)) {
    part.only({"content", "start", "stop"});
  }
  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      std::string_view rest = token;
      for (int64_t i = 0; i < start_ && rest.starts_with(content_); ++i) rest.remove_prefix(content_.size());
      for (int64_t i = 0; i < stop_ && rest.ends_with(content_); ++i) rest.remove_suffix(content_.size());
      token = std::string(rest);
    }
  }

 private:
  std::string content_;
  int64_t start_, stop_;
};

class Fuse final : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    tokens = {std::accumulate(tokens.begin(), tokens.end(), std::string())};
  }
};

}  // namespace

std::unique_ptr<Decoder> make_replace_decoder(const JsonPart& part) {
  return std::make_unique<ReplaceDecoder>(part);
}
std::unique_ptr<Decoder> make_strip_decoder(const JsonPart& part) {
  return std::make_unique<StripDecoder>(part);
}
std::unique_ptr<Decoder> make_fuse(const JsonPart& part) {
  part.only({});
  return std::make_unique<Fuse>();
}

}  // namespace data
