# cmake --install: the program with its manual pages and completions (component runtime), and the libraries with their
# headers for find_package(normlab) (component dev). cpack makes a Debian package of each.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# --- the program
install(TARGETS normlab RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT runtime)
# What a launcher of MPI needs is a package of its own: the program itself depends on no MPI.
if(TARGET normlab_mpi)
  install(TARGETS normlab_mpi LIBRARY DESTINATION lib/normlab COMPONENT mpi)
endif()
# What is generated from the tables of commands is made by the program itself, at install time.
install(CODE "
  foreach(arguments \"help;--man-pages;${CMAKE_BINARY_DIR}/man1;--quiet\")
    execute_process(COMMAND ${CMAKE_BINARY_DIR}/normlab \${arguments} COMMAND_ERROR_IS_FATAL ANY)
  endforeach()
  foreach(shell bash zsh fish)
    execute_process(COMMAND ${CMAKE_BINARY_DIR}/normlab completion \${shell}
      OUTPUT_FILE ${CMAKE_BINARY_DIR}/completion-\${shell} COMMAND_ERROR_IS_FATAL ANY)
  endforeach()" COMPONENT runtime)
install(DIRECTORY ${CMAKE_BINARY_DIR}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR} COMPONENT runtime)
install(FILES ${CMAKE_BINARY_DIR}/completion-bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
  RENAME normlab COMPONENT runtime)
install(FILES ${CMAKE_BINARY_DIR}/completion-zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions
  RENAME _normlab COMPONENT runtime)
install(FILES ${CMAKE_BINARY_DIR}/completion-fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d
  RENAME normlab.fish COMPONENT runtime)
install(DIRECTORY docs/configs DESTINATION ${CMAKE_INSTALL_DATADIR}/normlab COMPONENT runtime)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright COMPONENT runtime)

# --- the libraries: normlab::engine, normlab::nn, normlab::models
set(engine_boxes engine_base engine_core engine_kernel engine_cpu engine_autograd engine_ops engine_io)
if(TARGET engine_cuda)
  list(APPEND engine_boxes engine_cuda)
endif()
add_library(engine INTERFACE)
target_link_libraries(engine INTERFACE ${engine_boxes})
# Which kernels a header declares (engine/kernel/kernel.h) must be what the libraries hold.
foreach(level ${NORMLAB_ISA_LEVELS})
  target_compile_definitions(engine_base INTERFACE $<INSTALL_INTERFACE:ENGINE_HAS_${level}=1>)
endforeach()
foreach(definition ${cuda_definitions})
  target_compile_definitions(engine_base INTERFACE $<INSTALL_INTERFACE:${definition}>)
endforeach()
target_compile_features(engine_base INTERFACE $<INSTALL_INTERFACE:cxx_std_20>)
install(TARGETS engine ${engine_boxes} nn models EXPORT normlabTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}/normlab COMPONENT dev INCLUDES DESTINATION include/normlab)
install(EXPORT normlabTargets NAMESPACE normlab:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/normlab COMPONENT dev)
# Headers that only kernel files include stay behind.
foreach(folder engine/base engine/core engine/autograd engine/ops engine/io engine/kernel nn models)
  install(DIRECTORY ${folder}/ DESTINATION include/normlab/${folder} COMPONENT dev FILES_MATCHING PATTERN "*.h"
    PATTERN "*_cuda.h" EXCLUDE PATTERN "*_block.h" EXCLUDE PATTERN "*_tile.h" EXCLUDE
    PATTERN "*_blocks.h" EXCLUDE PATTERN "*_one.h" EXCLUDE PATTERN "*_chunk.h" EXCLUDE PATTERN "cuda" EXCLUDE)
endforeach()
install(FILES engine/cpu/parallel.h DESTINATION include/normlab/engine/cpu COMPONENT dev)
configure_package_config_file(cmake/normlabConfig.cmake.in ${CMAKE_BINARY_DIR}/normlabConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/normlab)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/normlabConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/normlabConfig.cmake ${CMAKE_BINARY_DIR}/normlabConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/normlab COMPONENT dev)

# --- Debian packages: cpack --config build/CPackConfig.cmake
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME normlab)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "trains transformers and shows what norm placement does")
set(CPACK_PACKAGE_CONTACT "NormLab <root@localhost>")
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL runtime dev)
if(TARGET normlab_mpi)
  list(APPEND CPACK_COMPONENTS_ALL mpi)
endif()
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME normlab)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION science)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_MPI_PACKAGE_NAME normlab-mpi)
set(CPACK_DEBIAN_MPI_PACKAGE_SECTION science)
set(CPACK_DEBIAN_MPI_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_MPI_PACKAGE_DEPENDS normlab)
set(CPACK_DEBIAN_DEV_PACKAGE_NAME libnormlab-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "nlohmann-json3-dev, libboost-context-dev, g++, cmake")
include(CPack)
