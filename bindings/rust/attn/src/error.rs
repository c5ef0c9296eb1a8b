// error.rs - what is returned where a call fails: a code and a sentence.
// SPDX-License-Identifier: BSD-3-Clause
use std::ffi::CStr;
use std::fmt;
use std::os::raw::c_char;

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// An argument is invalid.
    Argument,
    /// Memory could not be had.
    Memory,
    /// Legal, but not possible in this build or on this machine.
    Unsupported,
    /// Another thread is inside a call on this context.
    Busy,
    /// A code of a newer library.
    Other(i32),
}

/// A failed call: nothing has been written to the arrays, and the context works on.
///
/// ```
/// let error = attn::View::new(&[1.0f32, 2.0], [1, 3]).unwrap_err();
/// assert_eq!(error.code(), attn::Code::Argument);
/// assert_eq!(error.to_string(), "view: expected at least 3 numbers for the shape [1, 3], got 2");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    code: Code,
    sentence: String,
}

impl Error {
    /// Why.
    pub fn code(&self) -> Code {
        self.code
    }

    /// What: it names the argument, what was expected and what came.
    pub fn sentence(&self) -> &str {
        &self.sentence
    }

    pub(crate) fn argument(sentence: String) -> Self {
        Self { code: Code::Argument, sentence }
    }

    /// From what a function returned, and what the library says of it.
    ///
    /// # Safety
    ///
    /// `sentence` is a string of C.
    pub(crate) unsafe fn of(status: i32, sentence: *const c_char) -> Self {
        let code = match status {
            attn_sys::ATTN_ERROR_ARGUMENT => Code::Argument,
            attn_sys::ATTN_ERROR_MEMORY => Code::Memory,
            attn_sys::ATTN_ERROR_UNSUPPORTED => Code::Unsupported,
            attn_sys::ATTN_ERROR_BUSY => Code::Busy,
            other => Code::Other(other),
        };
        // SAFETY: the caller's word; and the library's, that its status texts are constants.
        let (sentence, name) = unsafe { (text(sentence), text(attn_sys::attn_status_text(status))) };
        Self { code, sentence: if sentence.is_empty() { name } else { sentence } }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.sentence)
    }
}

impl std::error::Error for Error {}

/// A copy of a text.
///
/// # Safety
///
/// `text` is a string of C.
pub(crate) unsafe fn text(text: *const c_char) -> String {
    // SAFETY: the caller's word.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
