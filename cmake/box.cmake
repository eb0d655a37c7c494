# box(NAME FOLDER [KERNELS] [CUDA] [EXCLUDE file...] [LINK target...]): a static library from FOLDER/*.cc and from the rooms that
# the box is divided into, FOLDER/*/*.cc.
#
# A box sees the headers of itself and of the boxes it links, and no others: its include path is a folder that holds
# one symbolic link to FOLDER, and linked boxes add theirs.
#
# KERNELS: FOLDER/*_cpu.cc are compiled once per processor level, each in a namespace of that level, with Eigen's
# namespace renamed too, so that no template is shared between levels (the linker would keep one copy for all).
#
# CUDA: FOLDER/*_cuda.cu are compiled for the stand-in (engine/cuda/host), unless ENGINE_CUDA is off: as C++, which CMake
# does not do to a .cu file, so a file of one #include is written for each. With ENGINE_CUDA=on nvcc compiles them too. (CMake 3.25 drops CUDA_STANDARD 20, so the flag is given by hand.)
set(flags_base "")
set(flags_avx2 -mavx2 -mfma -mf16c -mtune=generic)
set(flags_avx512 -march=x86-64-v4 -mtune=generic)
# Under a sanitizer the kernels compile several times longer at -O3, and it is not their speed that is tested.
set(kernel_optimization -O3)
if(NORMLAB_ASAN)
  set(kernel_optimization -O1 -fsanitize=alignment -fno-sanitize-recover=alignment)
elseif(NORMLAB_TSAN OR NORMLAB_FUZZ)
  set(kernel_optimization -O1)
endif()

# Kernels on the stand-in: pragmas meant for nvcc are no mistake, and a product and a sum are two roundings everywhere.
# Fibers confuse ThreadSanitizer, and what kernels may race in is checked by the stand-in itself.
function(cuda_host_options target)
  target_compile_definitions(${target} PRIVATE ENGINE_GPU=cuda_host ENGINE_HAS_cuda_host=1)
  target_compile_options(${target} PRIVATE -Wno-unknown-pragmas -ffp-contract=off $<$<BOOL:${NORMLAB_TSAN}>:-fno-sanitize=thread>)
endfunction()

# Kernels by nvcc.
function(cuda_options target)
  target_compile_definitions(${target} PRIVATE ENGINE_GPU=cuda ${cuda_definitions})
  target_compile_options(${target} PRIVATE -std=c++20 --expt-relaxed-constexpr
    "$<$<BOOL:${NORMLAB_CUDA_STRICT}>:SHELL:-Xptxas -warn-spills,-warn-lmem-usage,-Werror>")
endfunction()

function(box name folder)
  cmake_parse_arguments(arg "KERNELS;CUDA" "" "EXCLUDE;LINK" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*.cc ${CMAKE_SOURCE_DIR}/${folder}/*/*.cc
    ${CMAKE_SOURCE_DIR}/${folder}/*.proto)
  file(GLOB kernels CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*_cpu.cc)
  if(kernels)
    list(REMOVE_ITEM sources ${kernels})
  endif()
  foreach(file ${arg_EXCLUDE})
    list(REMOVE_ITEM sources ${CMAKE_SOURCE_DIR}/${folder}/${file})
  endforeach()

  set(include ${CMAKE_BINARY_DIR}/boxes/${name})
  get_filename_component(parent ${include}/${folder} DIRECTORY)
  file(MAKE_DIRECTORY ${parent})
  file(CREATE_LINK ${CMAKE_SOURCE_DIR}/${folder} ${include}/${folder} SYMBOLIC)

  if(NOT sources)
    set(sources ${CMAKE_BINARY_DIR}/empty.cc)
    file(TOUCH ${sources})
  endif()
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} PUBLIC $<BUILD_INTERFACE:${include}>)
  target_link_libraries(${name} PUBLIC ${arg_LINK})
  set(definitions ${cuda_definitions})
  if(NOT name MATCHES "^engine_(kernel|cpu|cuda|autograd|ops|bench)$")  # calls no kernel: the same for every ENGINE_CUDA
    list(REMOVE_ITEM definitions ENGINE_HAS_cuda=1)
  endif()
  target_compile_definitions(${name} PRIVATE ${definitions})

  if(arg_KERNELS AND kernels)
    foreach(level ${NORMLAB_ISA_LEVELS})
      add_library(${name}_${level} OBJECT ${kernels})
      target_include_directories(${name}_${level} PRIVATE ${include})
      target_link_libraries(${name}_${level} PRIVATE ${arg_LINK})
      target_compile_definitions(${name}_${level} PRIVATE ENGINE_ISA=${level} Eigen=Eigen_${level} EIGEN_DONT_PARALLELIZE)
      target_compile_options(${name}_${level} PRIVATE ${kernel_optimization} -Wno-maybe-uninitialized ${flags_${level}})
      target_sources(${name} PRIVATE $<TARGET_OBJECTS:${name}_${level}>)
    endforeach()
  endif()

  file(GLOB cuda_kernels CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*_cuda.cu)
  if(arg_CUDA AND cuda_kernels AND NOT ENGINE_CUDA STREQUAL "off")
    set(wrappers "")
    foreach(kernel ${cuda_kernels})
      get_filename_component(stem ${kernel} NAME_WE)
      set(wrapper ${CMAKE_BINARY_DIR}/generated/cuda_host/${folder}/${stem}_host.cc)
      file(CONFIGURE OUTPUT ${wrapper} CONTENT "#include \"${folder}/${stem}.cu\"\n" @ONLY)
      list(APPEND wrappers ${wrapper})
    endforeach()
    add_library(${name}_cuda_host OBJECT ${wrappers})
    target_include_directories(${name}_cuda_host PRIVATE ${include})
    if(NOT name STREQUAL engine_cuda)
      target_link_libraries(${name}_cuda_host PRIVATE engine_cuda)
      target_link_libraries(${name} PRIVATE engine_cuda)
    endif()
    target_link_libraries(${name}_cuda_host PRIVATE ${arg_LINK})
    cuda_host_options(${name}_cuda_host)
    target_sources(${name} PRIVATE $<TARGET_OBJECTS:${name}_cuda_host>)
    if(ENGINE_CUDA STREQUAL "on")
      add_library(${name}_cuda OBJECT ${cuda_kernels})
      target_include_directories(${name}_cuda PRIVATE ${include})
      if(NOT name STREQUAL engine_cuda)
        target_link_libraries(${name}_cuda PRIVATE engine_cuda)
      endif()
      target_link_libraries(${name}_cuda PRIVATE ${arg_LINK})
      cuda_options(${name}_cuda)
      target_sources(${name} PRIVATE $<TARGET_OBJECTS:${name}_cuda>)
    endif()
  endif()
endfunction()

foreach(level ${NORMLAB_ISA_LEVELS})
  add_compile_definitions(ENGINE_HAS_${level}=1)
endforeach()
# What declares the kernels of the stand-in and of a GPU (engine/kernel/kernel.h). The CPU's kernel files do not need it, and are not compiled
# again when it changes.
set(cuda_definitions "")
if(NOT ENGINE_CUDA STREQUAL "off")
  set(cuda_definitions ENGINE_HAS_cuda_host=1)
endif()
if(ENGINE_CUDA STREQUAL "on")
  list(APPEND cuda_definitions ENGINE_HAS_cuda=1)
endif()
