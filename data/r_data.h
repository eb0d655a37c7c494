// Reads character vectors out of an R package's lazy-load database (data/Rdata.rdx and Rdata.rdb).
//
// .rdx: a gzip file with one serialised list: names and, for each, {offset, bytes} in .rdb. An entry of .rdb:
// the unpacked size, 4 bytes big-endian, then a zlib stream with a serialised object (R Internals,
// sections 1.8 and 1.9). The serialisation read here is its binary form, versions 2 and 3.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace data {

struct RStrings {
  std::string name;
  std::vector<std::string> values;  // UTF-8; NA is ""
};

/// The character vectors of the database whose files are `path`.rdx and `path`.rdb, in the order of the
/// index.
std::vector<RStrings> read_r_database(const std::string& path);

}  // namespace data
