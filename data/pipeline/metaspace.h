// Metaspace's options, which its pre-tokenizer and its decoder share. Read first: json_fields.h.
#pragma once

#include "data/pipeline/json_fields.h"

namespace data {

enum class PrependScheme { always, first, never };

struct MetaspaceOptions {
  std::string replacement = "\u2581";  // of a space
  PrependScheme prepend = PrependScheme::always;
  bool split = true;
};
MetaspaceOptions metaspace_options(const JsonPart& part);

}  // namespace data
