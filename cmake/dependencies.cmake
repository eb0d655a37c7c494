# Libraries, all of them Debian packages (the Makefile's `setup` installs them).
find_package(nlohmann_json REQUIRED)
find_package(Eigen3 REQUIRED NO_MODULE)
find_package(Threads REQUIRED)

# Kernels alone include Eigen: who uses an installed library does not need it.
set(ENGINE_CPU_LIBRARIES $<BUILD_INTERFACE:Eigen3::Eigen> Threads::Threads)
set(ENGINE_BENCH_LIBRARIES "")  # peers that are timed beside our own products
set(onednn_found OFF)
if(NORMLAB_ONEDNN AND NOT NORMLAB_TSAN AND NOT NORMLAB_FUZZ)
  # Not by its own CMake package, which insists on OpenCL's headers.
  find_path(ONEDNN_INCLUDE oneapi/dnnl/dnnl.hpp)
  find_library(ONEDNN_LIBRARY dnnl)
  if(ONEDNN_INCLUDE AND ONEDNN_LIBRARY)
    set(onednn_found ON)
    list(APPEND ENGINE_BENCH_LIBRARIES ${ONEDNN_LIBRARY})
    add_compile_definitions(ENGINE_ONEDNN=1)
  endif()
endif()
message(STATUS "oneDNN: ${onednn_found}; CPU levels: ${NORMLAB_ISA_LEVELS}")

if(NOT ENGINE_CUDA STREQUAL "off")
  find_package(Boost 1.74 REQUIRED COMPONENTS context)  # the stand-in's fibers
endif()

if(NORMLAB_MPI STREQUAL "on")
  find_package(MPI REQUIRED COMPONENTS C)
elseif(NORMLAB_MPI STREQUAL "auto" AND NOT NORMLAB_FUZZ)
  find_package(MPI COMPONENTS C)
endif()

find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(LZMA REQUIRED IMPORTED_TARGET liblzma)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
find_package(ZLIB REQUIRED)
set(DATA_LIBRARIES PkgConfig::PCRE2 PkgConfig::UTF8PROC PkgConfig::ZSTD PkgConfig::LZMA ZLIB::ZLIB Threads::Threads)

find_package(Protobuf REQUIRED)
set(TRAIN_LIBRARIES protobuf::libprotobuf)
