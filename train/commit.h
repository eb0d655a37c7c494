// Which state of the sources this program was built from, for results that are kept. cmake/commit.cmake writes the
// definition.
#pragma once

namespace train {

/// "1a2b3c4d5e6f", with "-dirty" where files differed; "" outside a repository.
const char* built_commit();

}  // namespace train
