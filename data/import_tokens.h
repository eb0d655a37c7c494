// Token files of other programs, read in parts of bounded size:
//
//   llm.c    256 int32 of header (magic 20240520, version 1: uint16 ids; magic 20240801, version 7: uint32
//            ids; the number of tokens third), then the ids. A document begins with its separator.
//   nanoGPT  ids and nothing else. A document ends with its separator. An id has 2 bytes, or 4 where the
//            vocabulary does not fit into 2, or where all upper halves are zero: many programs always
//            write 4.
//
// Neither says which tokenizer made it: the caller does, and every id is checked against its vocabulary.
// Read first: prepare.h.
#pragma once

#include <functional>

#include "data/encode_documents.h"

namespace data {

/// Calls visit(piece) for each part of the file. A unit is a document; a part ends where a document does,
/// unless one alone is larger than a part.
void read_token_file(const std::string& path, PrepareForm form, const Tokenizer& tokenizer,
                     const std::function<void(const EncodedPiece&)>& visit);

}  // namespace data
