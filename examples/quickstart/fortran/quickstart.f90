! quickstart.f90 - three words, each of which looks at itself and at those before it.
! SPDX-License-Identifier: BSD-3-Clause
!
!     gfortran attn.f90 quickstart.f90 $(pkg-config --libs libattn) -o quickstart && ./quickstart
program quickstart
  use attn
  implicit none
  ! A column here is a row there.
  real(c_float), target :: words(4, 3) = reshape(real([1, 0, 1, 0, 0, 2, 0, 2, 1, 1, 1, 1], c_float), [4, 3])
  real(c_float), target :: output(4, 3), weights(3, 3)
  type(c_ptr) :: context
  type(attn_args) :: args

  if (attn_create(context) /= attn_ok) error stop 'no context'
  args%size = c_sizeof(args)
  args%batch = 1
  args%heads_q = 1
  args%len_q = size(words, 2)
  args%len_k = size(words, 2)
  args%dim = size(words, 1)
  args%query = c_loc(words)
  args%key = c_loc(words)
  args%value = c_loc(words)
  args%output = c_loc(output)
  args%weights = c_loc(weights)
  args%causal = 1
  if (attn_global(context, args) /= attn_ok) then
    print '(a)', attn_text(attn_last_error(context))
    error stop
  end if
  print '(a)', 'weights'
  print '(3f7.3)', weights
  print '(a)', 'output'
  print '(4f7.3)', output
  call attn_destroy(context)
end program
