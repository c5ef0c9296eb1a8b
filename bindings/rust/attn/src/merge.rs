// merge.rs - the arguments of a merge of results over disjoint keys.
// SPDX-License-Identifier: BSD-3-Clause
use attn_sys::attn_merge_args;

use crate::options::{check_shape, read, read_rows, write_rows};
use crate::{Error, View, ViewMut};

/// The result of attention over some of the keys: output (B, Hq, Nq, Dv) and log-sum-exp (B, Hq, Nq).
pub type Part<'a> = (View<'a, f32, 4>, View<'a, f32, 3>);

/// The arguments of [`Context::merge`](crate::Context::merge). All parts have the shape of the output, and the
/// strides of the first part.
///
/// ```
/// use attn::{Context, Merge, View, ViewMut};
/// let (first, second, lse) = ([2.0f32, 4.0], [6.0f32, 8.0], [0.0f32]);
/// let mut joined = [0.0f32; 2];
/// let lse = View::new(&lse, [1, 1, 1])?;
/// let shape = [1, 1, 1, 2];
/// let parts = [(View::new(&first, shape)?, lse), (View::new(&second, shape)?, lse)];
/// Context::new()?.merge(&mut Merge::new(&parts, ViewMut::new(&mut joined, shape)?))?;
/// assert_eq!(joined, [4.0, 6.0]);
/// # Ok::<(), attn::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct Merge<'a> {
    parts: &'a [Part<'a>],
    output: ViewMut<'a, f32, 4>,
    lse: Option<ViewMut<'a, f32, 3>>,
    outputs: Vec<*const f32>,
    lses: Vec<*const f32>,
}

impl<'a> Merge<'a> {
    /// Joins at least one part.
    pub fn new(parts: &'a [Part<'a>], output: ViewMut<'a, f32, 4>) -> Self {
        Self { parts, output, lse: None, outputs: Vec::new(), lses: Vec::new() }
    }

    /// Also writes the log-sum-exp of all parts together, (B, Hq, Nq).
    pub fn lse(mut self, lse: ViewMut<'a, f32, 3>) -> Self {
        self.lse = Some(lse);
        self
    }

    pub(crate) fn prepare(&mut self) -> Result<attn_merge_args, Error> {
        let mut raw = attn_merge_args::default();
        let shape = self.output.layout.shape;
        let rows = [shape[0], shape[1], shape[2]];
        (raw.output, raw.output_strides) = write_rows("output", &mut self.output, shape)?;
        if let Some(lse) = &mut self.lse {
            check_shape("lse", &lse.layout, rows)?;
            (raw.lse, raw.lse_strides) = (lse.data, lse.layout.strides.as_ptr());
        }
        self.outputs.clear();
        self.lses.clear();
        for (part, (output, lse)) in self.parts.iter().enumerate() {
            let (first_output, first_lse) = &self.parts[0];
            if output.layout.strides[..3] != first_output.layout.strides[..3]
                || lse.layout.strides != first_lse.layout.strides
            {
                return Err(Error::argument(format!(
                    "parts: expected the strides of part 0 in part {part}"
                )));
            }
            let (data, strides) = read_rows("part's output", output, shape)?;
            self.outputs.push(data);
            raw.outputs_strides = strides;
            let (data, strides) = read("part's lse", lse, rows)?;
            self.lses.push(data);
            raw.lses_strides = strides;
        }
        raw.parts = self.parts.len() as i64; // a slice is no longer than isize::MAX
        [raw.batch, raw.heads, raw.len_q, raw.dim_v] = shape;
        (raw.outputs, raw.lses) = (self.outputs.as_ptr(), self.lses.as_ptr());
        Ok(raw)
    }
}
