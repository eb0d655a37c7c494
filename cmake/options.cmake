# What a builder can choose: -DNAME=VALUE.
option(NORMLAB_ASAN "AddressSanitizer and UndefinedBehaviorSanitizer" OFF)
option(NORMLAB_TSAN "ThreadSanitizer; without oneDNN, whose threads it cannot see into" OFF)
option(NORMLAB_FUZZ "libFuzzer programs of tests/fuzz instead of the tests (needs clang)" OFF)
option(NORMLAB_ONEDNN "oneDNN for the large products, when it is found" ON)

set(NORMLAB_MPI auto CACHE STRING "the MPI plug-in for runs on several processes: auto (where MPI is), on or off")
set_property(CACHE NORMLAB_MPI PROPERTY STRINGS auto on off)

# The processor levels that CPU kernels are compiled for; the best one the machine has is chosen at run time.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64" AND NOT NORMLAB_TSAN AND NOT NORMLAB_FUZZ)
  set(default_levels base avx2 avx512)
  if(NORMLAB_ASAN)
    list(REMOVE_ITEM default_levels avx2)
  endif()
else()
  set(default_levels base)
endif()
set(NORMLAB_ISA_LEVELS "${default_levels}" CACHE STRING "CPU kernel levels to build: base, avx2, avx512")

# CUDA kernels: `host` compiles them for the stand-in (engine/cuda/host), which runs them on any processor; `off` leaves
# them out.
if(NORMLAB_FUZZ)
  set(default_cuda off)
else()
  set(default_cuda host)
endif()
set(ENGINE_CUDA ${default_cuda} CACHE STRING "CUDA kernels: host (the stand-in) or off")
set_property(CACHE ENGINE_CUDA PROPERTY STRINGS host off)
if(NOT ENGINE_CUDA MATCHES "^(host|off)$")
  message(FATAL_ERROR "ENGINE_CUDA=${ENGINE_CUDA}: expected host or off")
endif()

add_compile_options(-Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -fno-math-errno)
if(NORMLAB_ASAN OR NORMLAB_TSAN)
  set(CMAKE_CXX_FLAGS_RELEASE "-O1 -g1")  # compiles several times faster than -O2 under a sanitizer; assert()s stay
endif()
if(NORMLAB_ASAN)
  # The checks of every single member access double the time to compile; AddressSanitizer finds what they would.
  # Alignment matters where vectors are loaded: box.cmake has it checked in the kernels.
  add_compile_options(-fsanitize=address,undefined -fno-sanitize=null,object-size,vptr,alignment
    -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
endif()
if(NORMLAB_TSAN)
  add_compile_options(-fsanitize=thread)
  add_link_options(-fsanitize=thread)
endif()
if(NORMLAB_FUZZ)
  add_compile_options(-O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
    -fno-omit-frame-pointer -g1 -Wno-unknown-warning-option)
  add_link_options(-fsanitize=address,undefined)
endif()
