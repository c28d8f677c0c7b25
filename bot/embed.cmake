# embed_files(target name glob): the matching files become `const struct embedded_file NAME_files[]`
# (bot/base/embed.h), sorted by file name and ended by a row without a name.
function(embed_files target name glob)
    file(GLOB files CONFIGURE_DEPENDS ${glob})
    list(SORT files)
    set(out ${CMAKE_BINARY_DIR}/embed/${name}.c)
    add_custom_command(
        OUTPUT ${out}
        COMMAND ${CMAKE_COMMAND} -DOUT=${out} -DNAME=${name} "-DFILES=${files}"
                -P ${CMAKE_SOURCE_DIR}/bot/embed_write.cmake
        DEPENDS ${files} ${CMAKE_SOURCE_DIR}/bot/embed_write.cmake
        VERBATIM)
    get_target_property(type ${target} TYPE)
    if(type STREQUAL "INTERFACE_LIBRARY")
        return()
    endif()
    target_sources(${target} PRIVATE ${out})
endfunction()
