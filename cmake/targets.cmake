# The few shapes that a folder's CMakeLists.txt is written with.

# gp_library(NAME SOURCES a.c ... USES base ... LIBRARIES PkgConfig::x): the folder src/NAME.
function(gp_library name)
	cmake_parse_arguments(ARG "" "" "SOURCES;USES;LIBRARIES" ${ARGN})
	add_library(gp_${name} STATIC ${ARG_SOURCES})
	foreach(used ${ARG_USES})
		target_link_libraries(gp_${name} PUBLIC gp_${used})
	endforeach()
	target_link_libraries(gp_${name} PUBLIC ${ARG_LIBRARIES})
endfunction()

# gp_test(NAME SOURCES a_test.c USES base): a cmocka program, run by ctest under its own name.
function(gp_test name)
	cmake_parse_arguments(ARG "" "" "SOURCES;USES;LIBRARIES;LABELS" ${ARGN})
	add_executable(${name} ${ARG_SOURCES})
	foreach(used ${ARG_USES})
		target_link_libraries(${name} PRIVATE gp_${used})
	endforeach()
	target_link_libraries(${name} PRIVATE ${ARG_LIBRARIES} PkgConfig::cmocka)
	target_compile_options(${name} PRIVATE -Wno-frame-larger-than) # tests stand on the thread's stack
	add_test(NAME ${name} COMMAND ${name})
	set_tests_properties(${name} PROPERTIES TIMEOUT 300 LABELS "unit;${ARG_LABELS}")
endfunction()

# gp_fuzz(NAME SOURCES a_fuzz.c USES base): LLVMFuzzerTestOneInput. With GP_FUZZ an explorer,
# else a replayer of tests/fuzz/seeds/NAME/ that ctest runs.
function(gp_fuzz name)
	cmake_parse_arguments(ARG "" "" "SOURCES;USES;LIBRARIES" ${ARGN})
	add_executable(${name} ${ARG_SOURCES})
	foreach(used ${ARG_USES})
		target_link_libraries(${name} PRIVATE gp_${used})
	endforeach()
	target_link_libraries(${name} PRIVATE ${ARG_LIBRARIES})
	if(GP_FUZZ)
		target_link_options(${name} PRIVATE -fsanitize=fuzzer)
	else()
		target_sources(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/fuzz/replay.c)
		add_test(NAME ${name} COMMAND ${name} ${CMAKE_SOURCE_DIR}/tests/fuzz/seeds/${name})
		set_tests_properties(${name} PROPERTIES TIMEOUT 120 LABELS "fuzz")
	endif()
endfunction()

function(gp_harden name)
	target_link_options(${name} PRIVATE -pie -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed)
endfunction()
