// options.rs - what the arguments of attention and of a layer have in common: every option of attn_args.
// SPDX-License-Identifier: BSD-3-Clause
use std::ptr;

use attn_sys::attn_args;

use crate::view::Layout;
use crate::{Error, View, ViewMut};

/// How a row of the output is normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// x / max(|x|, epsilon)
    L2,
    /// x / sqrt(mean(x²) + epsilon)
    Rms,
    /// (x - mean(x)) / sqrt(variance(x) + epsilon)
    Layer,
}

/// The stage of the scores that a call hands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// scale * (q . k), of masked keys too.
    Scaled,
    /// These after the softcap.
    Capped,
    /// What the softmax sees, masked -infinity.
    Masked,
}

/// What is scaled.
#[derive(Clone, Copy, Debug)]
pub enum Score<'a> {
    /// q . k
    Dot,
    /// q^T W k (Luong), W (D, D) without gaps.
    General(View<'a, f32, 2>),
    /// v . tanh(q + k) (Bahdanau), v (D).
    Additive(&'a [f32]),
}

/// Luong's local-p: where the middles of the windows are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Middles<'a> {
    Positions,
    Given(View<'a, f32, 3>),
    Predicted(View<'a, f32, 2>, &'a [f32]),
}

#[derive(Debug)]
pub(crate) struct Options<'a> {
    /// The options that are numbers; the rest is 0.
    pub numbers: attn_args,
    pub weights: Option<ViewMut<'a, f32, 4>>,
    pub lse: Option<ViewMut<'a, f32, 3>>,
    pub scores: Option<ViewMut<'a, f32, 4>>,
    pub bias: Option<View<'a, f32, 4>>,
    pub mask: Option<View<'a, bool, 4>>,
    pub alibi_slopes: Option<&'a [f32]>,
    pub sinks: Option<&'a [f32]>,
    pub offsets: Option<&'a [i64]>,
    pub lengths_q: Option<&'a [i64]>,
    pub lengths_k: Option<&'a [i64]>,
    pub middles: Middles<'a>,
    pub score: Score<'a>,
    pub norm_gain: Option<&'a [f32]>,
    pub norm_shift: Option<&'a [f32]>,
}

impl<'a> Options<'a> {
    pub fn new() -> Self {
        Self {
            numbers: attn_args::default(),
            weights: None,
            lse: None,
            scores: None,
            bias: None,
            mask: None,
            alibi_slopes: None,
            sinks: None,
            offsets: None,
            lengths_q: None,
            lengths_k: None,
            middles: Middles::Positions,
            score: Score::Dot,
            norm_gain: None,
            norm_shift: None,
        }
    }

    /// Checks all against the sizes in `raw`, and completes it with pointers into this. `width`: of the output.
    pub fn fill(&mut self, raw: &mut attn_args, width: i64) -> Result<(), Error> {
        let (batch, heads) = (raw.batch, raw.heads_q);
        let matrix = [batch, heads, raw.len_q, raw.len_k];
        let rows = [batch, heads, raw.len_q];
        if let Some(weights) = &mut self.weights {
            (raw.weights, raw.weights_strides) = write_rows("weights", weights, matrix)?;
        }
        if let Some(scores) = &mut self.scores {
            (raw.scores, raw.scores_strides) = write_rows("scores", scores, matrix)?;
        }
        if let Some(lse) = &mut self.lse {
            check_shape("lse", &lse.layout, rows)?;
            (raw.lse, raw.lse_strides) = (lse.data, lse.layout.strides.as_ptr());
        }
        if let Some(bias) = &self.bias {
            (raw.bias, raw.bias_strides) = read("bias", bias, matrix)?;
        }
        if let Some(mask) = &self.mask {
            let (data, strides) = read("mask", mask, matrix)?;
            (raw.mask, raw.mask_strides) = (data.cast(), strides); // a bool is a byte of 0 or 1
        }
        raw.alibi_slopes = numbers("alibi_slopes", self.alibi_slopes, heads)?;
        raw.sinks = numbers("sinks", self.sinks, heads)?;
        raw.offsets = numbers("offsets", self.offsets, batch)?;
        raw.lengths_q = numbers("lengths_q", self.lengths_q, batch)?;
        raw.lengths_k = numbers("lengths_k", self.lengths_k, batch)?;
        raw.norm_gain = numbers("norm_gain", self.norm_gain, width)?;
        raw.norm_shift = numbers("norm_shift", self.norm_shift, width)?;
        self.fill_middles(raw, rows)?;
        self.fill_score(raw)
    }

    fn fill_middles(&self, raw: &mut attn_args, rows: [i64; 3]) -> Result<(), Error> {
        match &self.middles {
            Middles::Positions => (),
            Middles::Given(centers) => (raw.centers, raw.centers_strides) = read("centers", centers, rows)?,
            Middles::Predicted(matrix, vector) => {
                raw.predict_dim = vector.len() as i64; // a slice is no longer than isize::MAX
                raw.predict_matrix = read_dense("predict matrix", matrix, [raw.predict_dim, raw.dim])?;
                raw.predict_vector = vector.as_ptr();
            }
        }
        Ok(())
    }

    fn fill_score(&self, raw: &mut attn_args) -> Result<(), Error> {
        match &self.score {
            Score::Dot => (),
            Score::General(matrix) => {
                raw.score_function = attn_sys::ATTN_SCORE_GENERAL;
                raw.score_weight = read_dense("score matrix", matrix, [raw.dim, raw.dim])?;
            }
            Score::Additive(vector) => {
                raw.score_function = attn_sys::ATTN_SCORE_ADDITIVE;
                raw.score_weight = numbers("score vector", Some(*vector), raw.dim)?;
            }
        }
        Ok(())
    }
}

/// The view has this shape.
pub(crate) fn check_shape<const R: usize>(
    name: &str,
    layout: &Layout<R>,
    shape: [i64; R],
) -> Result<(), Error> {
    if layout.shape == shape {
        return Ok(());
    }
    let got = layout.shape;
    Err(Error::argument(format!("{name}: expected the shape {shape:?}, got {got:?}")))
}

fn check_rows<const R: usize>(name: &str, layout: &Layout<R>, shape: [i64; R]) -> Result<(), Error> {
    check_shape(name, layout, shape)?;
    if layout.has_rows() {
        return Ok(());
    }
    let strides = layout.strides;
    Err(Error::argument(format!(
        "{name}: expected rows whose elements are adjacent, got the strides {strides:?}"
    )))
}

type Read<T> = (*const T, *const i64);
type Write<T> = (*mut T, *const i64);

/// Data and strides of a view of this shape, any strides.
pub(crate) fn read<T, const R: usize>(
    name: &str,
    view: &View<'_, T, R>,
    shape: [i64; R],
) -> Result<Read<T>, Error> {
    check_shape(name, &view.layout, shape)?;
    Ok((view.data, view.layout.strides.as_ptr()))
}

/// Data and strides of a view of this shape, its rows without gaps.
pub(crate) fn read_rows<const R: usize>(
    name: &str,
    view: &View<'_, f32, R>,
    shape: [i64; R],
) -> Result<Read<f32>, Error> {
    check_rows(name, &view.layout, shape)?;
    Ok((view.data, view.layout.strides.as_ptr()))
}

/// The same of one to write.
pub(crate) fn write_rows<const R: usize>(
    name: &str,
    view: &mut ViewMut<'_, f32, R>,
    shape: [i64; R],
) -> Result<Write<f32>, Error> {
    check_rows(name, &view.layout, shape)?;
    Ok((view.data, view.layout.strides.as_ptr()))
}

/// Data of a matrix of this shape without any gaps.
pub(crate) fn read_dense(
    name: &str,
    view: &View<'_, f32, 2>,
    shape: [i64; 2],
) -> Result<*const f32, Error> {
    let (data, _) = read_rows(name, view, shape)?;
    if shape[0] <= 1 || view.layout.strides[0] == shape[1] {
        return Ok(data);
    }
    let strides = view.layout.strides;
    Err(Error::argument(format!("{name}: expected a dense matrix, got the strides {strides:?}")))
}

/// Data of so many numbers; NULL for none.
pub(crate) fn numbers<T>(name: &str, given: Option<&[T]>, count: i64) -> Result<*const T, Error> {
    match given {
        None => Ok(ptr::null()),
        Some(slice) if slice.len() as i64 == count => Ok(slice.as_ptr()),
        Some(slice) => {
            let got = slice.len();
            Err(Error::argument(format!("{name}: expected {count} numbers, got {got}")))
        }
    }
}

/// The functions that set options, for a type that has them in `options`.
macro_rules! option_functions {
    () => {
        /// The scale; else 1 / sqrt(D), and 1 for another score function than the dot product.
        pub fn scale(mut self, scale: f32) -> Self {
            self.options.numbers.has_scale = 1;
            self.options.numbers.scale = scale;
            self
        }

        /// Query i sees key j only if j <= i + offset.
        pub fn causal(mut self) -> Self {
            self.options.numbers.causal = 1;
            self
        }

        /// Query i sees key j only if p - left <= j <= p + right, where p = i + offset. `None` is unbounded.
        pub fn window(mut self, left: Option<u32>, right: Option<u32>) -> Self {
            self.options.numbers.has_window = 1;
            self.options.numbers.window_left = left.map_or(-1, i64::from);
            self.options.numbers.window_right = right.map_or(-1, i64::from);
            self
        }

        /// So many first keys are inside every window.
        pub fn window_prefix(mut self, keys: u32) -> Self {
            self.options.numbers.window_prefix = i64::from(keys);
            self
        }

        /// Of a window, which is as many times as wide, only keys at multiples of this distance.
        pub fn window_dilation(mut self, distance: u32) -> Self {
            self.options.numbers.window_dilation = i64::from(distance);
            self
        }

        /// The position of query 0 among the keys: 0 aligns the top left corner, Nk - Nq the bottom right one.
        pub fn offset(mut self, position: i64) -> Self {
            self.options.numbers.offset = position;
            self
        }

        /// The same for each batch entry: B numbers.
        pub fn offsets(mut self, positions: &'a [i64]) -> Self {
            self.options.offsets = Some(positions);
            self
        }

        /// Also writes the softmax, (B, Hq, Nq, Nk).
        pub fn weights(mut self, weights: ViewMut<'a, f32, 4>) -> Self {
            self.options.weights = Some(weights);
            self
        }

        /// Also writes the log-sum-exp of each row, (B, Hq, Nq).
        pub fn lse(mut self, lse: ViewMut<'a, f32, 3>) -> Self {
            self.options.lse = Some(lse);
            self
        }

        /// Also writes the scores, (B, Hq, Nq, Nk), at a stage of their making.
        pub fn scores(mut self, scores: ViewMut<'a, f32, 4>, stage: Stage) -> Self {
            self.options.scores = Some(scores);
            self.options.numbers.scores_stage = stage as i32;
            self
        }

        /// Scores become cap * tanh(score / cap), before all that is added or masked.
        pub fn softcap(mut self, cap: f32) -> Self {
            self.options.numbers.softcap = cap;
            self
        }

        /// Added to the scores, (B, Hq, Nq, Nk); -infinity masks. See [`View::broadcast`].
        pub fn bias(mut self, bias: View<'a, f32, 4>) -> Self {
            self.options.bias = Some(bias);
            self
        }

        /// A slope for each query head: -slope * |p - j| is added to the scores.
        pub fn alibi_slopes(mut self, slopes: &'a [f32]) -> Self {
            self.options.alibi_slopes = Some(slopes);
            self
        }

        /// True where a query may see a key, (B, Hq, Nq, Nk). See [`View::broadcast`].
        pub fn mask(mut self, mask: View<'a, bool, 4>) -> Self {
            self.options.mask = Some(mask);
            self
        }

        /// B numbers: query rows past them are as queries that see no key.
        pub fn lengths_q(mut self, lengths: &'a [i64]) -> Self {
            self.options.lengths_q = Some(lengths);
            self
        }

        /// B numbers: keys past them do not exist.
        pub fn lengths_k(mut self, lengths: &'a [i64]) -> Self {
            self.options.lengths_k = Some(lengths);
            self
        }

        /// One more logit for each row of a query head, in the sum of its softmax only.
        pub fn sinks(mut self, logits: &'a [f32]) -> Self {
            self.options.sinks = Some(logits);
            self
        }

        /// The middles of the windows, (B, Hq, Nq), each with a Gaussian around it (Luong's local-p).
        pub fn centers(mut self, centers: View<'a, f32, 3>) -> Self {
            self.options.middles = Middles::Given(centers);
            self
        }

        /// The middles predicted as Nk * sigmoid(v . tanh(W q)): W (P, D) without gaps, v (P).
        pub fn predict(mut self, matrix: View<'a, f32, 2>, vector: &'a [f32]) -> Self {
            self.options.middles = Middles::Predicted(matrix, vector);
            self
        }

        /// The sigma of the Gaussian; else half of the window's left side.
        pub fn sigma(mut self, sigma: f32) -> Self {
            self.options.numbers.sigma = sigma;
            self
        }

        /// What is scaled; else the dot product.
        pub fn score(mut self, score: Score<'a>) -> Self {
            self.options.score = score;
            self
        }

        /// Normalises each row of the output.
        pub fn norm(mut self, norm: Norm) -> Self {
            self.options.numbers.norm = norm as i32 + 1;
            self
        }

        /// What the norm adds to the mean square or variance; else 1e-5.
        pub fn norm_epsilon(mut self, epsilon: f32) -> Self {
            self.options.numbers.norm_epsilon = epsilon;
            self
        }

        /// Each row of the output is multiplied by it.
        pub fn norm_gain(mut self, gain: &'a [f32]) -> Self {
            self.options.norm_gain = Some(gain);
            self
        }

        /// And then it is added.
        pub fn norm_shift(mut self, shift: &'a [f32]) -> Self {
            self.options.norm_shift = Some(shift);
            self
        }
    };
}
pub(crate) use option_functions;
