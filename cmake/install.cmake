# What `cmake --install` puts where, in four components: runtime (the shared library), dev (headers, static
# library, pkg-config file, CMake package, manual of the functions), tools (the commands, their manual and what
# completes them in a shell) and doc. The target uninstall removes what the last installation put there.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/libattn)
install(TARGETS attn EXPORT libattn-shared
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime NAMELINK_COMPONENT dev)
install(TARGETS attn_static EXPORT libattn-static
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT dev)
install(DIRECTORY include/attn DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev)
if(ATTN_BUILD_TOOLS)
  set(commands attn-tool)
  if(ATTN_BLAS)
    list(APPEND commands attn-bench)
    install(PROGRAMS bench/plot.py DESTINATION ${CMAKE_INSTALL_BINDIR} RENAME attn-plot COMPONENT tools)
  endif()
  install(TARGETS ${commands} DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT tools)
  set(completions ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  install(FILES tools/completion/attn.bash DESTINATION ${completions} RENAME attn COMPONENT tools)
  file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/completions)
  foreach(name attn-bench attn-plot) # found there by the name of the command
    file(CREATE_LINK attn ${CMAKE_CURRENT_BINARY_DIR}/completions/${name} SYMBOLIC)
    install(FILES ${CMAKE_CURRENT_BINARY_DIR}/completions/${name} DESTINATION ${completions} COMPONENT tools)
  endforeach()
  install(FILES tools/completion/_attn DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions COMPONENT tools)
  if(NOT CMAKE_INSTALL_PREFIX STREQUAL "/usr") # else the system finds the library, here its place beside them
    file(RELATIVE_PATH from_bin_to_lib ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
    set_target_properties(${commands} PROPERTIES INSTALL_RPATH $ORIGIN/${from_bin_to_lib})
  endif()
endif()
install(FILES LICENSE README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT runtime)
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT doc
        FILES_MATCHING PATTERN *.md PATTERN *.svg PATTERN man EXCLUDE PATTERN site EXCLUDE)

# The CMake package.
foreach(kind shared static)
  install(EXPORT libattn-${kind} NAMESPACE libattn:: DESTINATION ${package_dir} COMPONENT dev)
endforeach()
if(ATTN_BLAS)
  list(GET BLAS_LIBRARIES 0 blas_library)
  get_filename_component(blas_directory ${blas_library} DIRECTORY)
  if(blas_directory IN_LIST CMAKE_C_IMPLICIT_LINK_DIRECTORIES)
    set(blas_directory "")
  endif()
  file(READ cmake/find-openblas.cmake.in find_blas)
  string(CONFIGURE "${find_blas}" find_blas @ONLY)
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
if(ATTN_BLAS)
  set(pc_private "-lopenblas ")
endif()
if(blas_directory)
  string(PREPEND pc_private "-L${blas_directory} ")
endif()
configure_file(cmake/libattn.pc.in libattn.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/libattn.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)

if(PROJECT_IS_TOP_LEVEL)
  configure_file(cmake/uninstall.cmake.in uninstall.cmake @ONLY)
  add_custom_target(uninstall COMMAND ${CMAKE_COMMAND} -P ${CMAKE_CURRENT_BINARY_DIR}/uninstall.cmake)
endif()
