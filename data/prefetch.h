// A thread that prepares batches before they are asked for. The batches and position() are those of the
// wrapped source: what the thread has read ahead is not part of the position, so a resumed run loses and
// repeats nothing.
#pragma once

#include <memory>

#include "data/batches.h"

namespace data {

/// Keeps up to `depth` batches ready. An Error in the thread comes out of the next() that meets it.
std::unique_ptr<BatchSource> prefetch(std::unique_ptr<BatchSource> source, int depth = 4);

}  // namespace data
