# Warnings, hardening and sanitizers, each used only where the compiler knows it.
add_library(sb_flags INTERFACE)
target_compile_definitions(sb_flags INTERFACE _GNU_SOURCE)

set(wanted
    -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wcast-qual -Wswitch-enum -Wvla -Wundef
    -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wformat=2
    -Werror=format-security -Werror=implicit -Werror=incompatible-pointer-types
    -Werror=int-conversion -Wtrampolines -Wbidi-chars=any
    -fno-delete-null-pointer-checks -fno-strict-overflow -fno-strict-aliasing -fexceptions
    -ftrivial-auto-var-init=zero -fno-omit-frame-pointer)
if(NOT SQUADBOT_SANITIZE)
    list(APPEND wanted -fstack-protector-strong -fstack-clash-protection -fcf-protection=full)
endif()
if(SQUADBOT_WERROR)
    list(APPEND wanted -Werror)
endif()
foreach(flag IN LISTS wanted)
    string(MAKE_C_IDENTIFIER "have${flag}" have)
    # With -Werror alone clang only warns about flags it does not know.
    set(CMAKE_REQUIRED_FLAGS "-Werror")
    check_c_compiler_flag(${flag} ${have})
    unset(CMAKE_REQUIRED_FLAGS)
    if(${have})
        target_compile_options(sb_flags INTERFACE ${flag})
    endif()
endforeach()

if(SQUADBOT_SANITIZE STREQUAL "address")
    set(san -fsanitize=address,undefined -fno-sanitize-recover=all)
elseif(SQUADBOT_SANITIZE STREQUAL "thread")
    set(san -fsanitize=thread)
elseif(SQUADBOT_SANITIZE)
    message(FATAL_ERROR "SQUADBOT_SANITIZE is address or thread, not ${SQUADBOT_SANITIZE}")
endif()
if(SQUADBOT_SANITIZE)
    target_compile_options(sb_flags INTERFACE ${san} -O1)
    target_link_options(sb_flags INTERFACE ${san})
else()
    target_compile_options(sb_flags INTERFACE $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE>
                           $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=3>)
    foreach(flag -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,-z,nodlopen -Wl,--as-needed
            -Wl,--no-copy-dt-needed-entries)
        string(MAKE_C_IDENTIFIER "have_link${flag}" have)
        check_linker_flag(C "${flag}" ${have})
        if(${have})
            target_link_options(sb_flags INTERFACE ${flag})
        endif()
    endforeach()
endif()
