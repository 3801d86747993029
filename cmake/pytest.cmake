# gp_pytests(LABEL): a ctest for each test_*.py of this folder; what they need of other programs,
# tools/packages.txt names. They start servers and measure time: one at a time.
function(gp_pytests label)
	file(GLOB files CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/test_*.py)
	foreach(file ${files})
		get_filename_component(name ${file} NAME_WE)
		string(REGEX REPLACE "^test_" "" name ${name})
		add_test(NAME ${label}-${name}
			COMMAND /usr/bin/python3 -m pytest -q -ra -p no:cacheprovider ${file}
			WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
		set_tests_properties(${label}-${name} PROPERTIES LABELS ${label} TIMEOUT 900 RUN_SERIAL ON
			ENVIRONMENT "GLASSPOST=$<TARGET_FILE:glasspost>;PYTHONDONTWRITEBYTECODE=1")
	endforeach()
endfunction()
