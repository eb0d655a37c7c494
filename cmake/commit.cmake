# commit_source(TARGET): gives TARGET a generated source with train::built_commit(), the commit that was checked out at
# the last build ("-dirty": with changes), "" outside a git repository.
# As a script (cmake -P) it writes that source where it changed; as an include it defines the function.
if(CMAKE_SCRIPT_MODE_FILE)
  cmake_minimum_required(VERSION 3.25)
  set(commit "")
  execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12 --exclude=*
    OUTPUT_VARIABLE commit ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
  file(CONFIGURE OUTPUT ${OUT} CONTENT "// Written by cmake/commit.cmake.
#include \"train/commit.h\"

namespace train {
const char* built_commit() { return \"@commit@\"; }
}  // namespace train
" @ONLY)
  return()
endif()

function(commit_source target)
  set(out ${CMAKE_BINARY_DIR}/generated/${target}_commit.cc)
  add_custom_target(${target}_commit
    COMMAND ${CMAKE_COMMAND} -DSOURCE=${CMAKE_SOURCE_DIR} -DOUT=${out} -P ${CMAKE_SOURCE_DIR}/cmake/commit.cmake
    BYPRODUCTS ${out}
    COMMENT ""
    VERBATIM)
  target_sources(${target} PRIVATE ${out})
  add_dependencies(${target} ${target}_commit)
endfunction()
