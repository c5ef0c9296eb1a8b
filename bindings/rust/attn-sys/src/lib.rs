// lib.rs - the C interface of libattn as Rust sees it: the structs, constants and functions of attn.h.
// SPDX-License-Identifier: BSD-3-Clause

//! The C interface of libattn. The names are those of the header `attn/attn.h`, which says what everything means; the
//! crate `attn` is the safe way in.
//!
//! The library is found by pkg-config, or in the folder that the environment variable `ATTN_LIB_DIR` names;
//! `ATTN_STATIC=1` links the static one.
#![allow(non_camel_case_types)]
#![deny(missing_docs)]

use std::mem::size_of;
use std::os::raw::{c_char, c_void};

/// Defines constants, and the table `CONSTANTS` of them for the tests.
macro_rules! constants {
    ($($name:ident = $value:literal,)*) => {
        $(#[doc = concat!("`", stringify!($name), "` of the header.")] pub const $name: i32 = $value;)*
        /// The name and the value of every constant.
        pub const CONSTANTS: &[(&str, i32)] = &[$((stringify!($name), $value),)*];
    };
}

/// Where a field begins in C that comes behind so many bytes.
#[allow(dead_code)] // rustc 1.63 does not see what only constants use
const fn aligned(end: usize, size: usize) -> usize {
    (end + size - 1) / size * size
}

/// Defines a struct with the size and the offsets that it has in C. That `repr(C)` gives it these is checked here
/// by C's rule (each field is aligned to its own size), and against a C compiler by the tests.
macro_rules! c_struct {
    ($(#[$doc:meta])* $name:ident = $bytes:literal { $($field:ident: $type:ty = $offset:literal,)* }) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug)]
        pub struct $name {
            $(#[doc = concat!("`", stringify!($field), "` of the header.")] pub $field: $type,)*
        }

        impl $name {
            /// The name, the offset and the size of every field.
            pub const FIELDS: &'static [(&'static str, usize, usize)] =
                &[$((stringify!($field), $offset, size_of::<$type>()),)*];

            /// The offsets as they are.
            pub fn offsets() -> impl Iterator<Item = usize> {
                let made = Self::default();
                let start = std::ptr::addr_of!(made) as usize;
                [$(std::ptr::addr_of!(made.$field) as usize - start,)*].into_iter()
            }
        }

        impl Default for $name {
            /// Its size, and zero for all else.
            fn default() -> Self {
                // SAFETY: all fields are numbers, pointers or optional functions, for which zeros are values.
                let zeros: Self = unsafe { std::mem::zeroed() };
                Self { size: size_of::<Self>() as u64, ..zeros }
            }
        }

        const _: () = {
            let mut end = 0;
            $(
                end = aligned(end, size_of::<$type>());
                assert!(end == $offset, stringify!($name.$field));
                end += size_of::<$type>();
            )*
            assert!(aligned(end, 8) == $bytes && size_of::<$name>() == $bytes, stringify!($name));
        };
    };
}

/// Declares functions, and the table `FUNCTIONS` of their names for the tests.
macro_rules! functions {
    ($(#[$doc:meta] fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        extern "C" {
            $(#[$doc] pub fn $name($($argument: $type),*) $(-> $result)?;)*
        }
        /// The name of every function.
        pub const FUNCTIONS: &[&str] = &[$(stringify!($name),)*];
    };
}

/// The version of the header that this crate mirrors, as `attn_version` gives it.
pub const ATTN_VERSION: i32 = 100;

constants! {
    ATTN_OK = 0,
    ATTN_ERROR_ARGUMENT = 1,
    ATTN_ERROR_MEMORY = 2,
    ATTN_ERROR_UNSUPPORTED = 3,
    ATTN_ERROR_BUSY = 4,
    ATTN_ENGINE_AUTO = 0,
    ATTN_ENGINE_BLAS = 1,
    ATTN_ENGINE_BUILTIN = 2,
    ATTN_ISA_AUTO = 0,
    ATTN_ISA_REFERENCE = 1,
    ATTN_ISA_AVX2 = 2,
    ATTN_ISA_AVX512 = 3,
    ATTN_ISA_NEON = 4,
    ATTN_ISA_AMX = 5,
    ATTN_SCORE_DOT = 0,
    ATTN_SCORE_GENERAL = 1,
    ATTN_SCORE_ADDITIVE = 2,
    ATTN_NORM_NONE = 0,
    ATTN_NORM_L2 = 1,
    ATTN_NORM_RMS = 2,
    ATTN_NORM_LAYER = 3,
    ATTN_ROPE_NONE = 0,
    ATTN_ROPE_HALF = 1,
    ATTN_ROPE_INTERLEAVED = 2,
}

/// A context.
#[repr(C)]
pub struct attn_context {
    _opaque: [u8; 0],
}

/// One piece of a parallel job.
pub type attn_task = Option<unsafe extern "C" fn(*mut c_void, i64)>;

c_struct! {
    /// Options of [`attn_create`].
    attn_options = 64 {
        size: u64 = 0,
        threads: i32 = 8,
        engine: i32 = 12,
        isa: i32 = 16,
        reserved: i32 = 20,
        user: *mut c_void = 24,
        allocate: Option<unsafe extern "C" fn(*mut c_void, u64, u64) -> *mut c_void> = 32,
        deallocate: Option<unsafe extern "C" fn(*mut c_void, *mut c_void, u64)> = 40,
        parallel_for: Option<unsafe extern "C" fn(*mut c_void, i64, attn_task, *mut c_void)> = 48,
        wipe: i32 = 56,
        reserved_2: i32 = 60,
    }
}

c_struct! {
    /// The arguments of [`attn_global`] and [`attn_local`].
    attn_args = 424 {
        size: u64 = 0,
        batch: i64 = 8,
        heads_q: i64 = 16,
        heads_kv: i64 = 24,
        len_q: i64 = 32,
        len_k: i64 = 40,
        dim: i64 = 48,
        dim_v: i64 = 56,
        query: *const f32 = 64,
        key: *const f32 = 72,
        value: *const f32 = 80,
        output: *mut f32 = 88,
        query_strides: *const i64 = 96,
        key_strides: *const i64 = 104,
        value_strides: *const i64 = 112,
        output_strides: *const i64 = 120,
        has_scale: i32 = 128,
        scale: f32 = 132,
        causal: i32 = 136,
        has_window: i32 = 140,
        offset: i64 = 144,
        weights: *mut f32 = 152,
        weights_strides: *const i64 = 160,
        lse: *mut f32 = 168,
        lse_strides: *const i64 = 176,
        scores: *mut f32 = 184,
        scores_strides: *const i64 = 192,
        scores_stage: i32 = 200,
        softcap: f32 = 204,
        bias: *const f32 = 208,
        bias_strides: *const i64 = 216,
        alibi_slopes: *const f32 = 224,
        mask: *const u8 = 232,
        mask_strides: *const i64 = 240,
        window_left: i64 = 248,
        window_right: i64 = 256,
        window_prefix: i64 = 264,
        window_dilation: i64 = 272,
        offsets: *const i64 = 280,
        lengths_q: *const i64 = 288,
        lengths_k: *const i64 = 296,
        starts_q: *const i64 = 304,
        starts_k: *const i64 = 312,
        sinks: *const f32 = 320,
        centers: *const f32 = 328,
        centers_strides: *const i64 = 336,
        predict_matrix: *const f32 = 344,
        predict_vector: *const f32 = 352,
        predict_dim: i64 = 360,
        sigma: f32 = 368,
        score_function: i32 = 372,
        score_weight: *const f32 = 376,
        residual: *const f32 = 384,
        residual_strides: *const i64 = 392,
        norm_gain: *const f32 = 400,
        norm_shift: *const f32 = 408,
        norm: i32 = 416,
        norm_epsilon: f32 = 420,
    }
}

c_struct! {
    /// The arguments of [`attn_self`].
    attn_self_args = 160 {
        size: u64 = 0,
        attention: *const attn_args = 8,
        dim_model: i64 = 16,
        dim_output: i64 = 24,
        x: *const f32 = 32,
        x_strides: *const i64 = 40,
        output: *mut f32 = 48,
        output_strides: *const i64 = 56,
        weight_qkv: *const f32 = 64,
        weight_q: *const f32 = 72,
        weight_k: *const f32 = 80,
        weight_v: *const f32 = 88,
        weight_o: *const f32 = 96,
        bias_qkv: *const f32 = 104,
        bias_q: *const f32 = 112,
        bias_k: *const f32 = 120,
        bias_v: *const f32 = 128,
        bias_o: *const f32 = 136,
        rope: i32 = 144,
        rope_base: f32 = 148,
        rope_dim: i64 = 152,
    }
}

c_struct! {
    /// The arguments of [`attn_merge`].
    attn_merge_args = 112 {
        size: u64 = 0,
        parts: i64 = 8,
        batch: i64 = 16,
        heads: i64 = 24,
        len_q: i64 = 32,
        dim_v: i64 = 40,
        outputs: *const *const f32 = 48,
        lses: *const *const f32 = 56,
        outputs_strides: *const i64 = 64,
        lses_strides: *const i64 = 72,
        output: *mut f32 = 80,
        output_strides: *const i64 = 88,
        lse: *mut f32 = 96,
        lse_strides: *const i64 = 104,
    }
}

c_struct! {
    /// What [`attn_explain`] and [`attn_explain_self`] fill.
    attn_plan = 64 {
        size: u64 = 0,
        scratch_bytes: u64 = 8,
        threads: i64 = 16,
        tasks: i64 = 24,
        tile_q: i64 = 32,
        tile_k: i64 = 40,
        path: *const c_char = 48,
        engine: *const c_char = 56,
    }
}

c_struct! {
    /// The arguments of [`attn_softmax`].
    attn_softmax_args = 72 {
        size: u64 = 0,
        rows: i64 = 8,
        cols: i64 = 16,
        input: *const f32 = 24,
        output: *mut f32 = 32,
        input_stride: i64 = 40,
        output_stride: i64 = 48,
        has_scale: i32 = 56,
        scale: f32 = 60,
        lse: *mut f32 = 64,
    }
}

c_struct! {
    /// What [`attn_describe`] fills.
    attn_info = 80 {
        size: u64 = 0,
        threads: i64 = 8,
        cpu: *const c_char = 16,
        cpu_isa: *const c_char = 24,
        isa: *const c_char = 32,
        engine: *const c_char = 40,
        blas: *const c_char = 48,
        blas_flavor: *const c_char = 56,
        blas_core: *const c_char = 64,
        warning: *const c_char = 72,
    }
}
functions! {
    #[doc = "Makes a context."]
    fn attn_create(context: *mut *mut attn_context, options: *const attn_options) -> i32;
    #[doc = "Ends a context."]
    fn attn_destroy(context: *mut attn_context);
    #[doc = "Attention of every query to every visible key."]
    fn attn_global(context: *mut attn_context, args: *const attn_args) -> i32;
    #[doc = "Attention of every query to the keys in a window around it."]
    fn attn_local(context: *mut attn_context, args: *const attn_args) -> i32;
    #[doc = "A self-attention layer."]
    fn attn_self(context: *mut attn_context, args: *const attn_self_args) -> i32;
    #[doc = "Joins results over disjoint sets of keys."]
    fn attn_merge(context: *mut attn_context, args: *const attn_merge_args) -> i32;
    #[doc = "What attn_global or attn_local would do."]
    fn attn_explain(context: *mut attn_context, args: *const attn_args, plan: *mut attn_plan) -> i32;
    #[doc = "What attn_self would do."]
    fn attn_explain_self(context: *mut attn_context, args: *const attn_self_args, plan: *mut attn_plan) -> i32;
    #[doc = "The softmax of each row."]
    fn attn_softmax(context: *mut attn_context, args: *const attn_softmax_args) -> i32;
    #[doc = "What a context is made of."]
    fn attn_describe(context: *const attn_context, info: *mut attn_info) -> i32;
    #[doc = "The same in one line."]
    fn attn_description(context: *const attn_context) -> *const c_char;
    #[doc = "The sentence of the last call that failed."]
    fn attn_last_error(context: *const attn_context) -> *const c_char;
    #[doc = "The name of a status."]
    fn attn_status_text(status: i32) -> *const c_char;
    #[doc = "The library's version as a number."]
    fn attn_version() -> i32;
    #[doc = "The library's version as a text."]
    fn attn_version_text() -> *const c_char;
}
