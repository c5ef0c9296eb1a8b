# What makes a fault in our own code harder to exploit, and a build repeatable. tests/house/hardening.py reads it
# from the built library.
option(ATTN_HARDENING "Build with stack protector, FORTIFY, full RELRO and, where there is one, protected control flow" ON)
if(ATTN_HARDENING)
  include(CheckCCompilerFlag)
  include(CheckPIESupported)
  check_pie_supported(LANGUAGES C)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
    set(control_flow -mbranch-protection=standard)
  else()
    set(control_flow -fcf-protection=full)
  endif()
  foreach(flag -fstack-protector-strong ${control_flow})
    string(MAKE_C_IDENTIFIER "ATTN_HAS${flag}" has)
    check_c_compiler_flag(${flag} ${has})
    if(${has})
      add_compile_options(${flag})
    endif()
  endforeach()
  if(NOT CMAKE_C_FLAGS MATCHES "_FORTIFY_SOURCE|-fsanitize") # a packager's own level stays; sanitizers look closer
    add_compile_options($<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:-D_FORTIFY_SOURCE=2>)
  endif()
  add_link_options(-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
endif()

# No path of the machine that builds: the same source gives the same bytes in any folder.
add_compile_options(-ffile-prefix-map=${PROJECT_SOURCE_DIR}=. -ffile-prefix-map=${PROJECT_BINARY_DIR}=.)
set(CMAKE_BUILD_RPATH_USE_ORIGIN ON)
