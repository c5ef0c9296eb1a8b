# What `cmake --install` puts where, in three components: runtime (the shared library), dev (headers, static
# library, pkg-config file, CMake package) and tools (the commands).
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/libattn)
install(TARGETS attn EXPORT libattn-shared
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime NAMELINK_COMPONENT dev)
install(TARGETS attn_static EXPORT libattn-static
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT dev)
install(DIRECTORY include/attn DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev)
if(ATTN_BUILD_TOOLS)
  install(TARGETS attn-tool attn-bench DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT tools)
  if(NOT CMAKE_INSTALL_PREFIX STREQUAL "/usr") # else the system finds the library, here its place beside them
    file(RELATIVE_PATH from_bin_to_lib ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
    set_target_properties(attn-tool attn-bench PROPERTIES INSTALL_RPATH $ORIGIN/${from_bin_to_lib})
  endif()
endif()
install(FILES LICENSE README.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT runtime)
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT dev OPTIONAL FILES_MATCHING PATTERN *.md)

# The CMake package.
foreach(kind shared static)
  install(EXPORT libattn-${kind} NAMESPACE libattn:: DESTINATION ${package_dir} COMPONENT dev)
endforeach()
list(GET BLAS_LIBRARIES 0 blas_library)
get_filename_component(blas_directory ${blas_library} DIRECTORY)
if(blas_directory IN_LIST CMAKE_C_IMPLICIT_LINK_DIRECTORIES)
  set(blas_directory "")
endif()
configure_file(cmake/libattn-config.cmake.in libattn-config.cmake @ONLY)
write_basic_package_version_file(libattn-config-version.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/libattn-config.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/libattn-config-version.cmake
        DESTINATION ${package_dir} COMPONENT dev)

# The pkg-config file finds its prefix from where it stands.
file(RELATIVE_PATH up ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" up ${up})
cmake_path(APPEND pc_libdir "\${prefix}" ${CMAKE_INSTALL_LIBDIR})
cmake_path(APPEND pc_includedir "\${prefix}" ${CMAKE_INSTALL_INCLUDEDIR})
set(pc_blas -lopenblas)
if(blas_directory)
  string(PREPEND pc_blas "-L${blas_directory} ")
endif()
configure_file(cmake/libattn.pc.in libattn.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/libattn.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)

if(PROJECT_IS_TOP_LEVEL)
  include(cmake/debian.cmake)
endif()
