// The first stage of tokenizer.json: rewriting text before it is cut. Each kind of rewriting is a small class
// behind one interface; make_normalizer() reads the file's part. They do what Hugging Face's tokenizers does,
// character for character. Bytes outside well-formed UTF-8, which it never sees, stay as they are.
#pragma once

#include <memory>
#include <string>

#include "data/pipeline/json_fields.h"

namespace data {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  /// Rewrites text in place. True when what it begins with now did not begin it before: some characters in
  /// front were dropped (Metaspace's "first" asks).
  virtual bool apply(std::string& text) const = 0;
};

std::unique_ptr<Normalizer> make_normalizer(const JsonPart& part);

// --- the kinds, by file
std::unique_ptr<Normalizer> make_unicode_form(
    const JsonPart& part);  // NFC NFD NFKC NFKD: normalize_unicode.cc
std::unique_ptr<Normalizer> make_lowercase(const JsonPart& part);
std::unique_ptr<Normalizer> make_strip_accents(const JsonPart& part);
std::unique_ptr<Normalizer> make_nmt(const JsonPart& part);
std::unique_ptr<Normalizer> make_bert_normalizer(const JsonPart& part);  // normalize_bert.cc
std::unique_ptr<Normalizer> make_strip(const JsonPart& part);            // normalize_text.cc
std::unique_ptr<Normalizer> make_replace(const JsonPart& part);
std::unique_ptr<Normalizer> make_prepend(const JsonPart& part);
std::unique_ptr<Normalizer> make_byte_level_normalizer(const JsonPart& part);
std::unique_ptr<Normalizer> make_precompiled(const JsonPart& part);  // precompiled.cc

}  // namespace data
