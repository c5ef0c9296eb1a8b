// softmax.rs - the arguments of a softmax over the rows of a matrix.
// SPDX-License-Identifier: BSD-3-Clause
use attn_sys::attn_softmax_args;

use crate::options::write_rows;
use crate::{Error, View, ViewMut};

/// The arguments of [`Context::softmax`](crate::Context::softmax).
///
/// ```
/// use attn::{Context, Softmax, ViewMut};
/// let mut rows = [0.0f32, 0.0, 1.0, 1.0];
/// Context::new()?.softmax(&mut Softmax::in_place(ViewMut::new(&mut rows, [2, 2])?))?;
/// assert_eq!(rows, [0.5; 4]);
/// # Ok::<(), attn::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct Softmax<'a> {
    input: Option<View<'a, f32, 2>>,
    output: ViewMut<'a, f32, 2>,
    scale: Option<f32>,
    lse: Option<&'a mut [f32]>,
}

impl<'a> Softmax<'a> {
    /// Of each row of the input a row of the output.
    pub fn new(input: View<'a, f32, 2>, output: ViewMut<'a, f32, 2>) -> Self {
        Self { input: Some(input), output, scale: None, lse: None }
    }

    /// Each row becomes its softmax.
    pub fn in_place(rows: ViewMut<'a, f32, 2>) -> Self {
        Self { input: None, output: rows, scale: None, lse: None }
    }

    /// Each number is multiplied by it first.
    pub fn scale(mut self, scale: f32) -> Self {
        self.scale = Some(scale);
        self
    }

    /// Also writes the log-sum-exp of each row.
    pub fn lse(mut self, lse: &'a mut [f32]) -> Self {
        self.lse = Some(lse);
        self
    }

    pub(crate) fn prepare(&mut self) -> Result<attn_softmax_args, Error> {
        let mut raw = attn_softmax_args::default();
        let shape = self.output.layout.shape;
        let output_stride = self.output.layout.strides[0];
        (raw.output, _) = write_rows("output", &mut self.output, shape)?;
        (raw.input, raw.input_stride, raw.output_stride) = (raw.output, output_stride, output_stride);
        if let Some(input) = &self.input {
            (raw.input, _) = crate::options::read_rows("input", input, shape)?;
            raw.input_stride = input.layout.strides[0];
        }
        [raw.rows, raw.cols] = shape;
        if raw.rows > 1 && raw.cols > 0 && raw.input_stride.min(raw.output_stride) < 1 {
            return Err(Error::argument("rows: expected strides from row to row of at least 1".to_owned()));
        }
        if raw.rows <= 1 || raw.cols == 0 {
            (raw.input_stride, raw.output_stride) = (0, 0); // dense, which no row can tell
        }
        if let Some(scale) = self.scale {
            (raw.has_scale, raw.scale) = (1, scale);
        }
        if let Some(lse) = &mut self.lse {
            if lse.len() as i64 != raw.rows {
                let (rows, got) = (raw.rows, lse.len());
                return Err(Error::argument(format!("lse: expected {rows} numbers, got {got}")));
            }
            raw.lse = lse.as_mut_ptr();
        }
        Ok(raw)
    }
}
