// Debian packages as sources of text: fetched with apt-get, unpacked with dpkg, nothing installed, no rights
// needed.
#pragma once

#include <string>
#include <vector>

namespace data {

/// Runs a program found on PATH, without a shell, in `folder` ("": here). Returns its standard output; a
/// missing program or a non-zero exit is an Error with the last line that it wrote.
std::string run_program(const std::vector<std::string>& arguments, const std::string& folder = "");

struct UnpackedPackages {
  std::string root;                   // holds usr/ ...
  std::vector<std::string> versions;  // "r-cran-janeaustenr 1.0.0-1"
};

/// Fetches and unpacks packages below `cache`/`name`, once: a second call needs no network.
/// "newest:NAME" is the versioned documentation package that NAME depends on (postgresql-doc:
/// postgresql-doc-15).
UnpackedPackages fetch_packages(const std::vector<std::string>& packages, const std::string& name,
                                const std::string& cache);

/// $XDG_CACHE_HOME/normlab, else ~/.cache/normlab.
std::string default_cache();

}  // namespace data
