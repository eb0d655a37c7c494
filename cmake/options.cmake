# What a builder can choose: -DNAME=VALUE.
option(NORMLAB_ASAN "AddressSanitizer and UndefinedBehaviorSanitizer" OFF)
option(NORMLAB_TSAN "ThreadSanitizer; without oneDNN, whose threads it cannot see into" OFF)
option(NORMLAB_FUZZ "libFuzzer programs of tests/fuzz instead of the tests (needs clang)" OFF)
option(NORMLAB_CUDA_STRICT "a kernel that spills registers or has a stack frame does not compile" OFF)
option(NORMLAB_ONEDNN "oneDNN, which `normlab bench gemm` times beside our own products, when it is found" ON)

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

# CUDA kernels: `on` compiles them by nvcc for the cards of ENGINE_CUDA_ARCHS and for the stand-in (engine/cuda/host), which
# runs them on any processor; `host` for the stand-in alone; `off` leaves them out. `auto` is `on`, for the cards that
# this machine has, where it has one of 8.0 or later and nvcc, else `host`. A program built with `on` needs neither driver nor CUDA to
# start and to compute on the CPU.
if(NORMLAB_FUZZ)
  set(default_cuda off)
else()
  set(default_cuda auto)
endif()
set(ENGINE_CUDA ${default_cuda} CACHE STRING "CUDA kernels: auto, on, host (the stand-in alone) or off")
set_property(CACHE ENGINE_CUDA PROPERTY STRINGS auto on host off)
if(NOT ENGINE_CUDA MATCHES "^(auto|on|host|off)$")
  message(FATAL_ERROR "ENGINE_CUDA=${ENGINE_CUDA}: expected auto, on, host or off")
endif()
set(default_archs "80;86;89;90a;100")
if(ENGINE_CUDA STREQUAL "auto")
  include(CheckLanguage)
  set(cards "")
  find_program(NVIDIA_SMI nvidia-smi)  # comes with the driver, and knows the cards
  if(NVIDIA_SMI)
    execute_process(COMMAND ${NVIDIA_SMI} --query-gpu=compute_cap --format=csv,noheader
      OUTPUT_VARIABLE cards RESULT_VARIABLE failed ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(failed OR NOT cards MATCHES "^[0-9]+\\.[0-9]")
      set(cards "")
    endif()
  endif()
  set(ENGINE_CUDA host)
  if(cards)
    check_language(CUDA)
    if(CMAKE_CUDA_COMPILER)
      string(REPLACE "." "" cards "${cards}")
      string(REGEX REPLACE "[ \n]+" ";" cards "${cards}")
      list(FILTER cards INCLUDE REGEX "^([89]|1[0-9])[0-9]$")  # the kernels need what 8.0 brought
    else()
      message(STATUS "CUDA kernels: there is a GPU and no nvcc; set CMAKE_CUDA_COMPILER to it, as /usr/local/cuda/bin/nvcc")
      set(cards "")
    endif()
    if(cards)
      set(ENGINE_CUDA on)
      set(default_archs "${cards}")
      list(TRANSFORM default_archs REPLACE "^90$" "90a")
      list(REMOVE_DUPLICATES default_archs)
    endif()
  endif()
endif()
set(ENGINE_CUDA_ARCHS "${default_archs}" CACHE STRING "ENGINE_CUDA=on: compute capabilities of the cards to build for")
message(STATUS "CUDA kernels: ${ENGINE_CUDA}")
if(ENGINE_CUDA STREQUAL "on")
  list(TRANSFORM ENGINE_CUDA_ARCHS APPEND "-real" OUTPUT_VARIABLE CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
  enable_language(CUDA)
  find_package(CUDAToolkit 12.8 REQUIRED)
  set(CMAKE_CUDA_FLAGS_RELEASE "-O3 -DNDEBUG")
  set(CMAKE_CUDA_STANDARD_REQUIRED OFF)  # CMake 3.25 does not know that nvcc has C++20: box.cmake gives the flag
endif()

# For g++ alone: nvcc has options of its own (box.cmake).
add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wno-unused-parameter;-Wno-missing-field-initializers;-fno-math-errno>")
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
