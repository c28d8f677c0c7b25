# Run by embed.cmake: writes OUT with one byte array a file and the table NAME_files.
set(arrays "")
set(rows "")
set(i 0)
foreach(file IN LISTS FILES)
    get_filename_component(base ${file} NAME)
    file(READ ${file} hex HEX)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
    string(APPEND arrays "static const unsigned char f${i}[] = {${bytes}0};\n")
    string(APPEND rows "    {\"${base}\", f${i}, sizeof(f${i}) - 1},\n")
    math(EXPR i "${i} + 1")
endforeach()
file(WRITE ${OUT} "#include \"bot/base/embed.h\"\n${arrays}
extern const struct embedded_file ${NAME}_files[];
const struct embedded_file ${NAME}_files[] = {\n${rows}    {0}};\n")
