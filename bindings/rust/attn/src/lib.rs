// lib.rs - attn: attention on CPUs through libattn, safe.
// SPDX-License-Identifier: BSD-3-Clause

//! Attention on CPUs: softmax(Q Kᵀ · scale) V over slices, through the C library libattn. What each option means is
//! said in the library's header `attn/attn.h`.
//!
//! ```
//! use attn::{Args, Context, View, ViewMut};
//!
//! let (q, k, v) = (vec![0.1f32; 8 * 512 * 64], vec![0.2f32; 8 * 512 * 64], vec![0.3f32; 8 * 512 * 64]);
//! let mut out = vec![0.0f32; 8 * 512 * 64];
//! let shape = [1, 8, 512, 64]; // batch, heads, rows, columns
//! let mut context = Context::new()?;
//! let mut args = Args::new(
//!     View::new(&q, shape)?,
//!     View::new(&k, shape)?,
//!     View::new(&v, shape)?,
//!     ViewMut::new(&mut out, shape)?,
//! )
//! .causal()
//! .window(Some(256), Some(0));
//! context.global(&mut args)?;
//! assert!((out[0] - 0.3).abs() < 1e-6);
//! # Ok::<(), attn::Error>(())
//! ```
//!
//! * A [`View`] or [`ViewMut`] is a slice with a shape and, where it is not dense, strides. It cannot reach outside
//!   its slice, and a call checks that all its views fit each other, so that no safe program can make the library
//!   read or write elsewhere.
//! * [`Args`], [`Layer`], [`Softmax`] and [`Merge`] are the arguments of the verbs of a [`Context`]; each option is a
//!   function, and they can be used again.
//! * A [`Context`] is `Send` and not `Sync`, and makes one call at a time.
//! * An [`Error`] has a [`Code`] and a sentence; after one nothing has been written.
#![deny(missing_docs)]
#![deny(unsafe_op_in_unsafe_fn)]

mod args;
mod context;
mod error;
mod layer;
mod merge;
mod options;
mod softmax;
mod view;

pub use args::Args;
pub use context::{Builder, Context, Engine, Info, Isa, Plan};
pub use error::{Code, Error};
pub use layer::{Layer, Projection, Projections, Rope};
pub use merge::{Merge, Part};
pub use options::{Norm, Score, Stage};
pub use softmax::Softmax;
pub use view::{View, ViewMut};

/// The library's version at run time, "0.1.0".
#[must_use]
pub fn version() -> String {
    // SAFETY: it is a constant of the library.
    unsafe { error::text(attn_sys::attn_version_text()) }
}
