// Comma-separated values with quotes (RFC 4180).
#pragma once

#include <string>
#include <vector>

namespace data {

/// The fields of the next record. A quoted field may hold line ends, so `text` is the whole file and `at`
/// moves behind the record; false at the end. `what` names the file in errors.
bool read_csv_record(const std::string& text, size_t& at, std::vector<std::string>& fields,
                     const std::string& what);

}  // namespace data
