// context.rs - contexts: threads, scratch memory and the choice of kernels, and the verbs.
// SPDX-License-Identifier: BSD-3-Clause
use std::ptr::{self, NonNull};

use attn_sys::{attn_context, attn_info, attn_options, attn_plan};

use crate::error::text;
use crate::{Args, Error, Layer, Merge, Softmax};

/// Who multiplies matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// `cblas_sgemm`
    Blas,
    /// The library's own, for each instruction set.
    Builtin,
}

/// Instruction sets, in rising order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Isa {
    /// Plain C, on any CPU.
    Reference,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 F.
    Avx512,
    /// AArch64's NEON.
    Neon,
    /// AMX with bfloat16 tiles, beside AVX-512: products of floats as sums of products of their three bfloat16 thirds,
    /// as exact as in float.
    Amx,
}

/// How a [`Context`] is made: `Context::builder().threads(2).build()`.
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct Builder {
    threads: u16,
    engine: Option<Engine>,
    isa: Option<Isa>,
    wipe: bool,
}

impl Builder {
    /// How many threads a call may use, the calling one included; else one for each CPU.
    pub fn threads(mut self, threads: u16) -> Self {
        self.threads = threads;
        self
    }

    /// The engine; else the library's choice.
    pub fn engine(mut self, engine: Engine) -> Self {
        self.engine = Some(engine);
        self
    }

    /// The highest instruction set to use; else the best. Where that is [`Isa::Amx`], Linux is asked for the tile
    /// registers, for the whole process; [`Isa::Avx512`] asks for nothing.
    pub fn isa(mut self, isa: Isa) -> Self {
        self.isa = Some(isa);
        self
    }

    /// Overwrites the context's memory with zeros before it is given back.
    pub fn wipe(mut self) -> Self {
        self.wipe = true;
        self
    }

    /// Makes the context.
    ///
    /// # Errors
    ///
    /// An option is invalid, or there is no memory.
    pub fn build(self) -> Result<Context, Error> {
        let options = attn_options {
            threads: i32::from(self.threads),
            engine: match self.engine {
                None => attn_sys::ATTN_ENGINE_AUTO,
                Some(Engine::Blas) => attn_sys::ATTN_ENGINE_BLAS,
                Some(Engine::Builtin) => attn_sys::ATTN_ENGINE_BUILTIN,
            },
            isa: match self.isa {
                None => attn_sys::ATTN_ISA_AUTO,
                Some(Isa::Reference) => attn_sys::ATTN_ISA_REFERENCE,
                Some(Isa::Avx2) => attn_sys::ATTN_ISA_AVX2,
                Some(Isa::Avx512) => attn_sys::ATTN_ISA_AVX512,
                Some(Isa::Neon) => attn_sys::ATTN_ISA_NEON,
                Some(Isa::Amx) => attn_sys::ATTN_ISA_AMX,
            },
            wipe: i32::from(self.wipe),
            ..attn_options::default()
        };
        // SAFETY: there are no hooks in these options.
        unsafe { Context::with_options(&options) }
    }
}

/// What a call would do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// Scratch that the call needs, all threads together.
    pub scratch_bytes: u64,
    /// How many threads would share the work.
    pub threads: i64,
    /// Independent pieces of work.
    pub tasks: i64,
    /// Query rows of a tile.
    pub tile_q: i64,
    /// Keys of a tile.
    pub tile_k: i64,
    /// "tiled", or "empty" where no query can see a key by its position.
    pub path: String,
    /// "blas" or "builtin".
    pub engine: String,
}

impl Plan {
    /// # Safety
    ///
    /// The library has filled it.
    unsafe fn of(raw: &attn_plan) -> Self {
        // SAFETY: texts of a plan are constants of the library.
        let (path, engine) = unsafe { (text(raw.path), text(raw.engine)) };
        let attn_plan { scratch_bytes, threads, tasks, tile_q, tile_k, .. } = *raw;
        Self { scratch_bytes, threads, tasks, tile_q, tile_k, path, engine }
    }
}

/// What a context is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// How many threads a call may use, the calling one included.
    pub threads: i64,
    /// The CPU's name for itself.
    pub cpu: String,
    /// The best instruction set of this CPU.
    pub cpu_isa: String,
    /// The one in use; not "amx" with BLAS, or where Linux refuses the tile registers.
    pub isa: String,
    /// The engine in use.
    pub engine: String,
    /// The BLAS library and its version.
    pub blas: String,
    /// "serial", "pthread" or "openmp".
    pub blas_flavor: String,
    /// The CPU type whose kernels BLAS runs.
    pub blas_core: String,
    /// What makes products slow here and the remedy; empty if nothing does.
    pub warning: String,
}

/// Scratch memory, worker threads and the choice of kernels, for one call at a time. It can be sent to another
/// thread, not shared between threads:
///
/// ```compile_fail
/// fn shared<T: Sync>() {}
/// shared::<attn::Context>();
/// ```
///
/// ```
/// let mut context = attn::Context::builder().threads(2).build()?;
/// assert_eq!(context.info()?.threads, 2);
/// std::thread::spawn(move || context.description()).join().unwrap();
/// # Ok::<(), attn::Error>(())
/// ```
#[derive(Debug)]
pub struct Context {
    handle: NonNull<attn_context>,
}

// SAFETY: a context may be used from any thread. Not Sync: a raw pointer is not.
unsafe impl Send for Context {}

impl Context {
    /// All defaults: a thread for each CPU that the process may run on.
    ///
    /// # Errors
    ///
    /// There is no memory, or an environment variable of the library is not one of its words.
    pub fn new() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// To choose threads, engine or instruction set.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// From options of the C interface, hooks included.
    ///
    /// # Errors
    ///
    /// As [`Builder::build`].
    ///
    /// # Safety
    ///
    /// The hooks do what `attn.h` asks of them for as long as the context lives, and `user` with them: on the
    /// threads on which the context is used and dropped.
    pub unsafe fn with_options(options: &attn_options) -> Result<Self, Error> {
        let mut handle = ptr::null_mut();
        // SAFETY: both are valid; the hooks by the caller's word.
        let status = unsafe { attn_sys::attn_create(&mut handle, options) };
        match NonNull::new(handle) {
            Some(handle) if status == attn_sys::ATTN_OK => Ok(Self { handle }),
            // SAFETY: the sentence of this thread's last creation is a string.
            _ => Err(unsafe { Error::of(status, attn_sys::attn_last_error(ptr::null())) }),
        }
    }

    /// Attention of every query to every visible key.
    ///
    /// # Errors
    ///
    /// An argument is invalid, or there is no memory.
    pub fn global(&mut self, args: &mut Args<'_>) -> Result<(), Error> {
        let raw = args.prepare()?;
        // SAFETY: prepare() has checked that all arrays are as large as the sizes say; they live during the call.
        self.check(unsafe { attn_sys::attn_global(self.handle.as_ptr(), &raw) })
    }

    /// Attention of every query to the keys in a window around it, which [`Args::window`] has set.
    ///
    /// # Errors
    ///
    /// An argument is invalid, or there is no memory.
    pub fn local(&mut self, args: &mut Args<'_>) -> Result<(), Error> {
        let raw = args.prepare()?;
        // SAFETY: as in global().
        self.check(unsafe { attn_sys::attn_local(self.handle.as_ptr(), &raw) })
    }

    /// A self-attention layer (`attn_self`).
    ///
    /// # Errors
    ///
    /// An argument is invalid, or there is no memory.
    pub fn layer(&mut self, layer: &mut Layer<'_>) -> Result<(), Error> {
        let mut given = layer.prepare()?;
        given.attention.residual_strides = given.residual_strides.as_ptr();
        given.raw.attention = &given.attention;
        // SAFETY: as in global().
        self.check(unsafe { attn_sys::attn_self(self.handle.as_ptr(), &given.raw) })
    }

    /// Joins results over disjoint sets of keys.
    ///
    /// # Errors
    ///
    /// An argument is invalid.
    pub fn merge(&mut self, merge: &mut Merge<'_>) -> Result<(), Error> {
        let raw = merge.prepare()?;
        // SAFETY: as in global().
        self.check(unsafe { attn_sys::attn_merge(self.handle.as_ptr(), &raw) })
    }

    /// The softmax of each row of a matrix.
    ///
    /// # Errors
    ///
    /// An argument is invalid, or there is no memory.
    pub fn softmax(&mut self, softmax: &mut Softmax<'_>) -> Result<(), Error> {
        let raw = softmax.prepare()?;
        // SAFETY: as in global().
        self.check(unsafe { attn_sys::attn_softmax(self.handle.as_ptr(), &raw) })
    }

    /// What [`Context::global`] or [`Context::local`] would do; touches no array.
    ///
    /// # Errors
    ///
    /// An argument is invalid.
    pub fn explain(&mut self, args: &mut Args<'_>) -> Result<Plan, Error> {
        let raw = args.prepare()?;
        let mut plan = attn_plan::default();
        // SAFETY: as in global(); the plan is read only if the library has filled it.
        unsafe {
            self.check(attn_sys::attn_explain(self.handle.as_ptr(), &raw, &mut plan))?;
            Ok(Plan::of(&plan))
        }
    }

    /// What [`Context::layer`] would do.
    ///
    /// # Errors
    ///
    /// An argument is invalid.
    pub fn explain_layer(&mut self, layer: &mut Layer<'_>) -> Result<Plan, Error> {
        let mut given = layer.prepare()?;
        given.attention.residual_strides = given.residual_strides.as_ptr();
        given.raw.attention = &given.attention;
        let mut plan = attn_plan::default();
        // SAFETY: as in explain().
        unsafe {
            self.check(attn_sys::attn_explain_self(self.handle.as_ptr(), &given.raw, &mut plan))?;
            Ok(Plan::of(&plan))
        }
    }

    /// What the context is made of.
    ///
    /// # Errors
    ///
    /// None that a context of this crate meets.
    pub fn info(&self) -> Result<Info, Error> {
        let mut raw = attn_info::default();
        // SAFETY: both are valid; texts of a description live as long as the context.
        unsafe {
            let status = attn_sys::attn_describe(self.handle.as_ptr(), &mut raw);
            if status != attn_sys::ATTN_OK {
                return Err(Error::of(status, attn_sys::attn_last_error(ptr::null())));
            }
            Ok(Info {
                threads: raw.threads,
                cpu: text(raw.cpu),
                cpu_isa: text(raw.cpu_isa),
                isa: text(raw.isa),
                engine: text(raw.engine),
                blas: text(raw.blas),
                blas_flavor: text(raw.blas_flavor),
                blas_core: text(raw.blas_core),
                warning: text(raw.warning),
            })
        }
    }

    /// The same in one line.
    #[must_use]
    pub fn description(&self) -> String {
        // SAFETY: it is a string that lives as long as the context.
        unsafe { text(attn_sys::attn_description(self.handle.as_ptr())) }
    }

    /// The context of the C interface, which stays this one's.
    #[must_use]
    pub fn as_ptr(&self) -> *mut attn_context {
        self.handle.as_ptr()
    }

    fn check(&self, status: i32) -> Result<(), Error> {
        if status == attn_sys::ATTN_OK {
            return Ok(());
        }
        // SAFETY: the sentence of a context's last call is a string.
        Err(unsafe { Error::of(status, attn_sys::attn_last_error(self.handle.as_ptr())) })
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: it is this one's own, and no call is under way.
        unsafe { attn_sys::attn_destroy(self.handle.as_ptr()) }
    }
}
