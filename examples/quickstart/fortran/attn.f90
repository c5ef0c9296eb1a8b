! attn.f90 - attn.h as Fortran sees it: constants, structs and functions, by iso_c_binding.
! SPDX-License-Identifier: BSD-3-Clause
!
! The names and their meaning are the header's. A struct begins with its size, c_sizeof of itself; all else is zero
! until it is set. Arrays are given by c_loc and must be targets. The last index of C is the first of Fortran: an
! array (D, N, H, B) here is (B, H, N, D) there, without a copy.
module attn
  use, intrinsic :: iso_c_binding
  implicit none
  public

  integer(c_int32_t), parameter :: attn_ok = 0, attn_error_argument = 1, attn_error_memory = 2, &
    attn_error_unsupported = 3, attn_error_busy = 4
  integer(c_int32_t), parameter :: attn_engine_auto = 0, attn_engine_blas = 1, attn_engine_builtin = 2
  integer(c_int32_t), parameter :: attn_isa_auto = 0, attn_isa_reference = 1, attn_isa_avx2 = 2, &
    attn_isa_avx512 = 3, attn_isa_neon = 4, attn_isa_amx = 5
  integer(c_int32_t), parameter :: attn_score_dot = 0, attn_score_general = 1, attn_score_additive = 2
  integer(c_int32_t), parameter :: attn_norm_none = 0, attn_norm_l2 = 1, attn_norm_rms = 2, &
    attn_norm_layer = 3
  integer(c_int32_t), parameter :: attn_rope_none = 0, attn_rope_half = 1, attn_rope_interleaved = 2

  ! Options of attn_create.
  type, bind(c) :: attn_options
    integer(c_int64_t) :: size = 0
    integer(c_int32_t) :: threads = 0, engine = 0, isa = 0, reserved = 0
    type(c_ptr) :: user = c_null_ptr
    type(c_funptr) :: allocate = c_null_funptr, deallocate = c_null_funptr, parallel_for = c_null_funptr
    integer(c_int32_t) :: wipe = 0, reserved_2 = 0
  end type

  ! The arguments of attn_global and attn_local.
  type, bind(c) :: attn_args
    integer(c_int64_t) :: size = 0, batch = 0, heads_q = 0, heads_kv = 0, len_q = 0, len_k = 0, dim = 0, &
      dim_v = 0
    type(c_ptr) :: query = c_null_ptr, key = c_null_ptr, value = c_null_ptr, output = c_null_ptr, &
      query_strides = c_null_ptr, key_strides = c_null_ptr, value_strides = c_null_ptr, &
      output_strides = c_null_ptr
    integer(c_int32_t) :: has_scale = 0
    real(c_float) :: scale = 0
    integer(c_int32_t) :: causal = 0, has_window = 0
    integer(c_int64_t) :: offset = 0
    type(c_ptr) :: weights = c_null_ptr, weights_strides = c_null_ptr, lse = c_null_ptr, &
      lse_strides = c_null_ptr, scores = c_null_ptr, scores_strides = c_null_ptr
    integer(c_int32_t) :: scores_stage = 0
    real(c_float) :: softcap = 0
    type(c_ptr) :: bias = c_null_ptr, bias_strides = c_null_ptr, alibi_slopes = c_null_ptr, &
      mask = c_null_ptr, mask_strides = c_null_ptr
    integer(c_int64_t) :: window_left = 0, window_right = 0, window_prefix = 0, window_dilation = 0
    type(c_ptr) :: offsets = c_null_ptr, lengths_q = c_null_ptr, lengths_k = c_null_ptr, &
      starts_q = c_null_ptr, starts_k = c_null_ptr, sinks = c_null_ptr, centers = c_null_ptr, &
      centers_strides = c_null_ptr, predict_matrix = c_null_ptr, predict_vector = c_null_ptr
    integer(c_int64_t) :: predict_dim = 0
    real(c_float) :: sigma = 0
    integer(c_int32_t) :: score_function = 0
    type(c_ptr) :: score_weight = c_null_ptr, residual = c_null_ptr, residual_strides = c_null_ptr, &
      norm_gain = c_null_ptr, norm_shift = c_null_ptr
    integer(c_int32_t) :: norm = 0
    real(c_float) :: norm_epsilon = 0
  end type

  ! The arguments of attn_self; attention: c_loc of an attn_args.
  type, bind(c) :: attn_self_args
    integer(c_int64_t) :: size = 0
    type(c_ptr) :: attention = c_null_ptr
    integer(c_int64_t) :: dim_model = 0, dim_output = 0
    type(c_ptr) :: x = c_null_ptr, x_strides = c_null_ptr, output = c_null_ptr, output_strides = c_null_ptr, &
      weight_qkv = c_null_ptr, weight_q = c_null_ptr, weight_k = c_null_ptr, weight_v = c_null_ptr, &
      weight_o = c_null_ptr, bias_qkv = c_null_ptr, bias_q = c_null_ptr, bias_k = c_null_ptr, &
      bias_v = c_null_ptr, bias_o = c_null_ptr
    integer(c_int32_t) :: rope = 0
    real(c_float) :: rope_base = 0
    integer(c_int64_t) :: rope_dim = 0
  end type

  ! The arguments of attn_merge.
  type, bind(c) :: attn_merge_args
    integer(c_int64_t) :: size = 0, parts = 0, batch = 0, heads = 0, len_q = 0, dim_v = 0
    type(c_ptr) :: outputs = c_null_ptr, lses = c_null_ptr, outputs_strides = c_null_ptr, &
      lses_strides = c_null_ptr, output = c_null_ptr, output_strides = c_null_ptr, lse = c_null_ptr, &
      lse_strides = c_null_ptr
  end type

  ! What attn_explain and attn_explain_self fill.
  type, bind(c) :: attn_plan
    integer(c_int64_t) :: size = 0, scratch_bytes = 0, threads = 0, tasks = 0, tile_q = 0, tile_k = 0
    type(c_ptr) :: path = c_null_ptr, engine = c_null_ptr
  end type

  ! The arguments of attn_softmax.
  type, bind(c) :: attn_softmax_args
    integer(c_int64_t) :: size = 0, rows = 0, cols = 0
    type(c_ptr) :: input = c_null_ptr, output = c_null_ptr
    integer(c_int64_t) :: input_stride = 0, output_stride = 0
    integer(c_int32_t) :: has_scale = 0
    real(c_float) :: scale = 0
    type(c_ptr) :: lse = c_null_ptr
  end type

  ! What attn_describe fills.
  type, bind(c) :: attn_info
    integer(c_int64_t) :: size = 0, threads = 0
    type(c_ptr) :: cpu = c_null_ptr, cpu_isa = c_null_ptr, isa = c_null_ptr, engine = c_null_ptr, &
      blas = c_null_ptr, blas_flavor = c_null_ptr, blas_core = c_null_ptr, warning = c_null_ptr
  end type

  interface
    ! options: an attn_options, or absent for all defaults.
    function attn_create(context, options) bind(c) result(status)
      import
      type(c_ptr), intent(out) :: context
      type(attn_options), intent(in), optional :: options
      integer(c_int32_t) :: status
    end function

    subroutine attn_destroy(context) bind(c)
      import
      type(c_ptr), value :: context
    end subroutine

    function attn_global(context, args) bind(c) result(status)
      import
      type(c_ptr), value :: context
      type(attn_args), intent(in) :: args
      integer(c_int32_t) :: status
    end function

    function attn_local(context, args) bind(c) result(status)
      import
      type(c_ptr), value :: context
      type(attn_args), intent(in) :: args
      integer(c_int32_t) :: status
    end function

    function attn_self(context, args) bind(c) result(status)
      import
      type(c_ptr), value :: context
      type(attn_self_args), intent(in) :: args
      integer(c_int32_t) :: status
    end function

    function attn_merge(context, args) bind(c) result(status)
      import
      type(c_ptr), value :: context
      type(attn_merge_args), intent(in) :: args
      integer(c_int32_t) :: status
    end function

    function attn_softmax(context, args) bind(c) result(status)
      import
      type(c_ptr), value :: context
      type(attn_softmax_args), intent(in) :: args
      integer(c_int32_t) :: status
    end function

    function attn_explain(context, args, plan) bind(c) result(status)
      import
      type(c_ptr), value :: context
      type(attn_args), intent(in) :: args
      type(attn_plan), intent(inout) :: plan
      integer(c_int32_t) :: status
    end function

    function attn_explain_self(context, args, plan) bind(c) result(status)
      import
      type(c_ptr), value :: context
      type(attn_self_args), intent(in) :: args
      type(attn_plan), intent(inout) :: plan
      integer(c_int32_t) :: status
    end function

    function attn_describe(context, info) bind(c) result(status)
      import
      type(c_ptr), value :: context
      type(attn_info), intent(inout) :: info
      integer(c_int32_t) :: status
    end function

    ! Texts are C's: attn_text makes them Fortran's.
    function attn_description(context) bind(c) result(text)
      import
      type(c_ptr), value :: context
      type(c_ptr) :: text
    end function

    function attn_last_error(context) bind(c) result(text)
      import
      type(c_ptr), value :: context
      type(c_ptr) :: text
    end function

    function attn_status_text(status) bind(c) result(text)
      import
      integer(c_int32_t), value :: status
      type(c_ptr) :: text
    end function

    function attn_version() bind(c) result(version)
      import
      integer(c_int32_t) :: version
    end function

    function attn_version_text() bind(c) result(text)
      import
      type(c_ptr) :: text
    end function
  end interface

contains

  ! The text of C that a pointer points to.
  function attn_text(pointer) result(text)
    interface
      function strlen(text) bind(c)
        import
        type(c_ptr), value :: text
        integer(c_size_t) :: strlen
      end function
    end interface
    type(c_ptr), intent(in) :: pointer
    character(len=:), allocatable :: text
    character(kind=c_char), pointer :: letters(:)
    integer :: i
    call c_f_pointer(pointer, letters, [strlen(pointer)])
    allocate (character(len=size(letters)) :: text)
    do i = 1, size(letters)
      text(i:i) = letters(i)
    end do
  end function
end module
