# embed_files(TARGET file...): gives TARGET a generated source with the bytes of each file, as
# std::string_view embedded_NAME in namespace train (NAME: the file's name with _ for other characters).
# As a script (cmake -P) it writes that source; as an include it defines the function.
if(CMAKE_SCRIPT_MODE_FILE)
  set(text "// Written by cmake/embed.cmake.\n#include <string_view>\n\nnamespace train {\n")
  foreach(file ${FILES})
    get_filename_component(name ${file} NAME)
    string(REGEX REPLACE "[^A-Za-z0-9]" "_" name ${name})
    file(READ ${file} bytes HEX)
    string(REGEX REPLACE "(................................................)" "\\1\n" bytes "${bytes}")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
    string(APPEND text "static const unsigned char bytes_${name}[] = {\n${bytes}0};\n"
      "extern const std::string_view embedded_${name};\n"
      "const std::string_view embedded_${name}(reinterpret_cast<const char*>(bytes_${name}), sizeof bytes_${name} - 1);\n")
  endforeach()
  file(WRITE ${OUT} "${text}}  // namespace train\n")
  return()
endif()

function(embed_files target)
  set(out ${CMAKE_BINARY_DIR}/generated/${target}_embedded.cc)
  add_custom_command(
    OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} "-DFILES='${ARGN}'" -DOUT=${out} -P ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
    DEPENDS ${ARGN} ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
    COMMENT "Embedding files into ${target}"
    VERBATIM)
  target_sources(${target} PRIVATE ${out})
endfunction()
