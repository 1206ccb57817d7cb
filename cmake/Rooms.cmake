# One room = one top-level folder = one static library = one set of public headers.
#
#   add_room(store
#       SOURCES apply.c store.c
#       DOOR    store.h               # include/store/store.h: what other rooms may see
#       USES    base                  # rooms this one may include and call
#       NEEDS   PkgConfig::LMDB)      # outside libraries; never shown to other rooms
#
# `#include "txn.h"` names a private header of the same folder; `#include "store/store.h"` crosses a
# wall, and compiles only in rooms that list `store` under USES. What the compiler cannot see is
# checked by tests/tidy/tidy.sh.

find_package(PkgConfig REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv)
pkg_check_modules(RAFT REQUIRED IMPORTED_TARGET raft)
pkg_check_modules(LMDB REQUIRED IMPORTED_TARGET lmdb)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_search_module(MSGPACK REQUIRED IMPORTED_TARGET msgpack-c msgpack)
pkg_check_modules(CONFUSE REQUIRED IMPORTED_TARGET libconfuse)
pkg_check_modules(SMARTCOLS REQUIRED IMPORTED_TARGET smartcols)
pkg_check_modules(SYSTEMD REQUIRED IMPORTED_TARGET libsystemd)

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

add_library(room_flags INTERFACE)
option(MUSTER_NEXT "Pretend to be the next version, with one more command (tests of upgrades only)" OFF)
if(MUSTER_NEXT)
    set(version "${PROJECT_VERSION}-next")
    target_compile_definitions(room_flags INTERFACE MUSTER_NEXT=1)
else()
    set(version "${PROJECT_VERSION}")
endif()
target_compile_definitions(room_flags INTERFACE _GNU_SOURCE MUSTER_VERSION="${version}")
target_compile_options(room_flags INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
    -Wvla -Wwrite-strings -Wpointer-arith -Wcast-qual -Wformat=2 -Wundef
    -Wswitch-enum -Wimplicit-fallthrough -fno-common -fstack-protector-strong
    -ffile-prefix-map=${PROJECT_SOURCE_DIR}/= -ffile-prefix-map=${PROJECT_BINARY_DIR}/=)

# Assertions stay on in releases: a replica that knows it is wrong must stop, not diverge.
foreach(type RELEASE RELWITHDEBINFO MINSIZEREL)
    string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_${type} "${CMAKE_C_FLAGS_${type}}")
endforeach()

set(CMAKE_POSITION_INDEPENDENT_CODE ON)
add_link_options(-Wl,-z,relro,-z,now)

option(WERROR "Treat warnings as errors" ON)
if(WERROR)
    target_compile_options(room_flags INTERFACE -Werror)
endif()

option(FAULTS "Compile the fault points in (tests only, never a release)" ON)
if(FAULTS)
    target_compile_definitions(room_flags INTERFACE FAULTS=1)
endif()

option(FUZZERS "Build the libFuzzer targets (needs clang)" OFF)

set(SANITIZE "" CACHE STRING "Sanitizers, e.g. address,undefined or thread")
if(SANITIZE)
    target_compile_options(room_flags INTERFACE
        -fsanitize=${SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(room_flags INTERFACE -fsanitize=${SANITIZE})
else()
    target_compile_options(room_flags INTERFACE
        $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE$<SEMICOLON>-D_FORTIFY_SOURCE=2>)
endif()

function(add_room name)
    cmake_parse_arguments(PARSE_ARGV 1 room "" "" "SOURCES;DOOR;USES;NEEDS")
    foreach(used IN LISTS room_USES)
        if(NOT TARGET ${used})
            message(FATAL_ERROR "room ${name} uses ${used}, which stands above it")
        endif()
    endforeach()

    add_library(${name} STATIC ${room_SOURCES})
    if(room_DOOR)
        list(TRANSFORM room_DOOR PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/include/${name}/)
        target_sources(${name} PUBLIC FILE_SET HEADERS
            BASE_DIRS ${CMAKE_CURRENT_SOURCE_DIR}/include FILES ${room_DOOR})
        set_target_properties(${name} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
    endif()
    target_link_libraries(${name} PUBLIC ${room_USES} PRIVATE room_flags ${room_NEEDS})
endfunction()

# A program of the product: add_program(muster SOURCES muster_main.c USES client NEEDS ...)
function(add_program name)
    cmake_parse_arguments(PARSE_ARGV 1 program "" "" "SOURCES;USES;NEEDS")
    add_executable(${name} ${program_SOURCES})
    target_link_libraries(${name} PRIVATE ${program_USES} room_flags ${program_NEEDS})
    target_link_options(${name} PRIVATE -pie)
    install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()
