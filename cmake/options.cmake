# How everything is compiled. Presets (CMakePresets.json) set GP_SANITIZE and GP_FUZZ.
option(GP_SANITIZE "AddressSanitizer and UndefinedBehaviorSanitizer" OFF)
option(GP_FUZZ "libFuzzer programs (clang) in place of the seed replayers" OFF)

set(CMAKE_C_STANDARD 23)
set(CMAKE_C_EXTENSIONS ON) # gnu2x, as gcc 12 and clang 14 both take it
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
	set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")

include_directories(${CMAKE_SOURCE_DIR}/src)
add_compile_definitions(_GNU_SOURCE GP_VERSION="${PROJECT_VERSION}")
add_compile_options(
	-Wall -Wextra -Wshadow -Wvla -Wconversion -Wno-sign-conversion -Wformat=2 -Wstrict-prototypes
	-Wmissing-prototypes -Wimplicit-fallthrough -Werror -Wframe-larger-than=8192
	-fno-omit-frame-pointer -fno-strict-aliasing -fno-strict-overflow -fno-delete-null-pointer-checks
	-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)

if(GP_SANITIZE)
	add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -Wno-frame-larger-than)
	add_link_options(-fsanitize=address,undefined)
else()
	add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong
		-fstack-clash-protection)
	if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
		add_compile_options(-fcf-protection=full)
	endif()
	if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
		add_compile_options(-ftrivial-auto-var-init=zero)
	endif()
endif()
if(GP_FUZZ)
	add_compile_options(-fsanitize=fuzzer-no-link)
endif()
