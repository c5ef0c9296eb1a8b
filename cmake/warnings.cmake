# The warnings that every target of ours is built with.
add_library(attn_warnings INTERFACE)
target_compile_options(attn_warnings INTERFACE -Wall -Wextra -Wshadow -Wstrict-prototypes
                       -Wmissing-prototypes -Wvla -Wconversion -Wundef -Wpointer-arith)
if(ATTN_WERROR)
  target_compile_options(attn_warnings INTERFACE -Werror)
endif()
