// args.rs - the arguments of attention.
// SPDX-License-Identifier: BSD-3-Clause
use attn_sys::attn_args;

use crate::options::{option_functions, read_rows, write_rows, Middles, Options};
use crate::{Error, Norm, Score, Stage, View, ViewMut};

/// The arguments of [`Context::global`](crate::Context::global) and [`Context::local`](crate::Context::local):
/// query (B, Hq, Nq, D), key (B, Hkv, Nk, D), value (B, Hkv, Nk, Dv), output (B, Hq, Nq, Dv), and options. Hq is a
/// multiple of Hkv. They can be used for any number of calls.
///
/// Three words, each of which looks at itself and at those before it:
///
/// ```
/// use attn::{Args, Context, View, ViewMut};
/// let words = [2.0f32, 4.0, 4.0, 0.0, 6.0, 8.0];
/// let (alike, mut output) = ([0.0f32; 6], [0.0f32; 6]); // queries of 0 see all words alike
/// let shape = [1, 1, 3, 2];
/// let query = View::new(&alike, shape)?;
/// let key = View::new(&words, shape)?;
/// let output_view = ViewMut::new(&mut output, shape)?;
/// Context::new()?.global(&mut Args::new(query, key, key, output_view).causal())?;
/// assert_eq!(output, [2.0, 4.0, 3.0, 2.0, 4.0, 4.0]);
/// # Ok::<(), attn::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct Args<'a> {
    query: View<'a, f32, 4>,
    key: View<'a, f32, 4>,
    value: View<'a, f32, 4>,
    output: ViewMut<'a, f32, 4>,
    residual: Option<View<'a, f32, 4>>,
    starts_q: Option<&'a [i64]>,
    starts_k: Option<&'a [i64]>,
    options: Options<'a>,
}

impl<'a> Args<'a> {
    /// All defaults.
    pub fn new(
        query: View<'a, f32, 4>,
        key: View<'a, f32, 4>,
        value: View<'a, f32, 4>,
        output: ViewMut<'a, f32, 4>,
    ) -> Self {
        let options = Options::new();
        Self { query, key, value, output, residual: None, starts_q: None, starts_k: None, options }
    }

    option_functions!();

    /// Packed sequences of queries: B + 1 numbers that rise from the first row of each to that of the next. Query
    /// and output then have a batch of 1 and the rows of all sequences; Nq is the length of the longest.
    pub fn starts_q(mut self, starts: &'a [i64]) -> Self {
        self.starts_q = Some(starts);
        self
    }

    /// The same for keys and values; Nk is the length of the longest.
    pub fn starts_k(mut self, starts: &'a [i64]) -> Self {
        self.starts_k = Some(starts);
        self
    }

    /// Added to the output, before the norm; of its shape.
    pub fn residual(mut self, residual: View<'a, f32, 4>) -> Self {
        self.residual = Some(residual);
        self
    }

    /// What the library takes, with pointers into this.
    pub(crate) fn prepare(&mut self) -> Result<attn_args, Error> {
        let mut raw = self.sizes()?;
        let shape_q = self.query.layout.shape;
        let (rows_q, rows_k) = (shape_q[2], self.key.layout.shape[2]);
        let batch_q = if self.starts_q.is_some() { 1 } else { raw.batch };
        let batch_k = if self.starts_k.is_some() { 1 } else { raw.batch };
        let out = [batch_q, raw.heads_q, rows_q, raw.dim_v];
        (raw.query, raw.query_strides) =
            read_rows("query", &self.query, [batch_q, raw.heads_q, rows_q, raw.dim])?;
        (raw.key, raw.key_strides) = read_rows("key", &self.key, [batch_k, raw.heads_kv, rows_k, raw.dim])?;
        (raw.value, raw.value_strides) =
            read_rows("value", &self.value, [batch_k, raw.heads_kv, rows_k, raw.dim_v])?;
        (raw.output, raw.output_strides) = write_rows("output", &mut self.output, out)?;
        if let Some(residual) = &self.residual {
            (raw.residual, raw.residual_strides) = read_rows("residual", residual, out)?;
        }
        raw.starts_q = self.starts_q.map_or(std::ptr::null(), <[i64]>::as_ptr);
        raw.starts_k = self.starts_k.map_or(std::ptr::null(), <[i64]>::as_ptr);
        let width = raw.dim_v;
        self.options.fill(&mut raw, width)?;
        Ok(raw)
    }

    /// All sizes; to the library 0 would mean "as another one" where it may not here.
    fn sizes(&self) -> Result<attn_args, Error> {
        let (query, key) = (self.query.layout.shape, self.key.layout.shape);
        let mut raw = self.options.numbers;
        raw.batch = match (self.starts_q, self.starts_k) {
            (Some(starts), _) | (None, Some(starts)) => starts.len() as i64 - 1,
            _ => query[0],
        };
        [raw.heads_q, raw.heads_kv, raw.dim] = [query[1], key[1], query[3]];
        raw.dim_v = self.value.layout.shape[3];
        raw.len_q = longest("starts_q", self.starts_q, query[2], raw.batch)?;
        raw.len_k = longest("starts_k", self.starts_k, key[2], raw.batch)?;
        if raw.heads_kv < 1 && raw.heads_q > 0 {
            return Err(Error::argument("key: expected at least one head, got none".to_owned()));
        }
        if raw.dim_v < 1 {
            return Err(Error::argument("value: expected at least one column, got none".to_owned()));
        }
        Ok(raw)
    }
}

/// The length of the longest of `batch` sequences, which have so many rows in all.
fn longest(name: &str, starts: Option<&[i64]>, rows: i64, batch: i64) -> Result<i64, Error> {
    let starts = match starts {
        None => return Ok(rows),
        Some(starts) => starts,
    };
    if batch < 0 || starts.len() as i64 != batch + 1 {
        let wanted = batch.max(0) + 1;
        let got = starts.len();
        return Err(Error::argument(format!("{name}: expected {wanted} numbers, got {got}")));
    }
    let rising = starts.windows(2).all(|pair| pair[0] <= pair[1]);
    if !rising || starts.iter().any(|start| !(0..=rows).contains(start)) {
        return Err(Error::argument(format!(
            "{name}: expected numbers that rise from 0 or more to at most {rows}, got {starts:?}"
        )));
    }
    Ok(starts.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0))
}
