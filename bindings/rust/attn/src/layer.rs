// layer.rs - the arguments of a self-attention layer.
// SPDX-License-Identifier: BSD-3-Clause
use attn_sys::{attn_args, attn_self_args};

use crate::options::{numbers, option_functions, read_dense, read_rows, write_rows, Middles, Options};
use crate::{Error, Norm, Score, Stage, View, ViewMut};

/// Which two elements of a head rotate together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rope {
    /// d and d + dim / 2 (NeoX).
    Half,
    /// 2 d and 2 d + 1 (GPT-J).
    Interleaved,
}

/// Weights as PyTorch stores them, (out features, in features) without gaps, and a bias for each out feature.
#[derive(Clone, Copy, Debug)]
pub struct Projection<'a> {
    weight: View<'a, f32, 2>,
    bias: Option<&'a [f32]>,
}

impl<'a> Projection<'a> {
    /// Without a bias.
    #[must_use]
    pub fn new(weight: View<'a, f32, 2>) -> Self {
        Self { weight, bias: None }
    }

    /// With one.
    #[must_use]
    pub fn with_bias(weight: View<'a, f32, 2>, bias: &'a [f32]) -> Self {
        Self { weight, bias: Some(bias) }
    }

    /// Pointers to the weight (out, width) and the bias (out).
    fn pointers(&self, name: &str, out: i64, width: i64) -> Result<(*const f32, *const f32), Error> {
        let weight = read_dense(&format!("weight {name}"), &self.weight, [out, width])?;
        Ok((weight, numbers(&format!("bias {name}"), self.bias, out)?))
    }
}

/// The projections of x to queries, keys and values.
#[derive(Clone, Copy, Debug)]
pub enum Projections<'a> {
    /// In one, query above key above value: (Hq D + Hkv D + Hkv Dv, E).
    Packed(Projection<'a>),
    /// One by one: (Hq D, E), (Hkv D, E) and (Hkv Dv, E).
    Single([Projection<'a>; 3]),
}

/// The arguments of [`Context::layer`](crate::Context::layer): x (B, N, E), output (B, N, E'), so many heads of the
/// size D, weights and options.
///
/// ```
/// use attn::{Context, Layer, Projection, Projections, View, ViewMut};
/// let x = [1.0f32, 2.0]; // a word of two numbers
/// let identity = [1.0f32, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0];
/// let mut output = [0.0f32; 2];
/// let input = View::new(&x, [1, 1, 2])?;
/// let qkv = Projections::Packed(Projection::new(View::new(&identity, [6, 2])?));
/// let mut layer = Layer::new(input, ViewMut::new(&mut output, [1, 1, 2])?, 1, 2, qkv).causal();
/// Context::new()?.layer(&mut layer)?;
/// assert_eq!(output, x);
/// # Ok::<(), attn::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct Layer<'a> {
    x: View<'a, f32, 3>,
    output: ViewMut<'a, f32, 3>,
    heads: [usize; 2],
    dims: [usize; 2],
    projections: Projections<'a>,
    out_projection: Option<Projection<'a>>,
    residual: Option<View<'a, f32, 3>>,
    rope: attn_self_args,
    options: Options<'a>,
}

/// A layer as the library takes it. `raw` gets its pointer to `attention` when both are where they stay.
pub(crate) struct RawLayer {
    pub raw: attn_self_args,
    pub attention: attn_args,
    /// batch, head, row of the residual, which has no heads.
    pub residual_strides: [i64; 3],
}

impl<'a> Layer<'a> {
    /// So many heads of the size `dim`, all other options at their defaults. Without an output projection the
    /// output is as wide as all heads together.
    pub fn new(
        x: View<'a, f32, 3>,
        output: ViewMut<'a, f32, 3>,
        heads: usize,
        dim: usize,
        projections: Projections<'a>,
    ) -> Self {
        Self {
            x,
            output,
            heads: [heads, heads],
            dims: [dim, dim],
            projections,
            out_projection: None,
            residual: None,
            rope: attn_self_args::default(),
            options: Options::new(),
        }
    }

    option_functions!();

    /// How many heads keys and values have, where these are fewer.
    pub fn heads_kv(mut self, heads: usize) -> Self {
        self.heads[1] = heads;
        self
    }

    /// The head size of values, where it is another.
    pub fn dim_v(mut self, dim: usize) -> Self {
        self.dims[1] = dim;
        self
    }

    /// The output projection, (E', Hq Dv).
    pub fn out_projection(mut self, projection: Projection<'a>) -> Self {
        self.out_projection = Some(projection);
        self
    }

    /// Rotates queries and keys by their position.
    pub fn rope(mut self, rope: Rope) -> Self {
        self.rope.rope = rope as i32 + 1;
        self
    }

    /// The base of the angles; else 10000.
    pub fn rope_base(mut self, base: f32) -> Self {
        self.rope.rope_base = base;
        self
    }

    /// So many first elements of each head rotate; else all.
    pub fn rope_dim(mut self, dim: u32) -> Self {
        self.rope.rope_dim = i64::from(dim);
        self
    }

    /// Added to the output, before the norm; of its shape.
    pub fn residual(mut self, residual: View<'a, f32, 3>) -> Self {
        self.residual = Some(residual);
        self
    }

    /// What the library takes, with pointers into this.
    pub(crate) fn prepare(&mut self) -> Result<RawLayer, Error> {
        let mut attention = self.sizes()?;
        let shape = self.x.layout.shape;
        let width = self.output.layout.shape[2];
        let out = [shape[0], shape[1], width];
        let mut raw = self.rope;
        [raw.dim_model, raw.dim_output] = [shape[2], width];
        (raw.x, raw.x_strides) = read_rows("x", &self.x, shape)?;
        (raw.output, raw.output_strides) = write_rows("output", &mut self.output, out)?;
        self.project(&mut raw, &attention)?;
        let mut residual_strides = [0; 3];
        if let Some(residual) = &self.residual {
            (attention.residual, _) = read_rows("residual", residual, out)?;
            let [batch, row, _] = residual.layout.strides;
            residual_strides = [batch, 0, row];
        }
        self.options.fill(&mut attention, width)?;
        Ok(RawLayer { raw, attention, residual_strides })
    }

    fn sizes(&self) -> Result<attn_args, Error> {
        let shape = self.x.layout.shape;
        let mut raw = self.options.numbers;
        [raw.heads_q, raw.heads_kv] = small("heads", self.heads)?;
        [raw.dim, raw.dim_v] = small("dim", self.dims)?;
        [raw.batch, raw.len_q, raw.len_k] = [shape[0], shape[1], shape[1]];
        if self.output.layout.shape[2] < 1 {
            return Err(Error::argument("output: expected at least one column, got none".to_owned()));
        }
        Ok(raw)
    }

    fn project(&self, raw: &mut attn_self_args, attention: &attn_args) -> Result<(), Error> {
        let width = raw.dim_model;
        let q = attention.heads_q * attention.dim;
        let k = attention.heads_kv * attention.dim;
        let v = attention.heads_kv * attention.dim_v;
        match &self.projections {
            Projections::Packed(packed) => {
                (raw.weight_qkv, raw.bias_qkv) = packed.pointers("qkv", q + k + v, width)?;
            }
            Projections::Single([query, key, value]) => {
                (raw.weight_q, raw.bias_q) = query.pointers("q", q, width)?;
                (raw.weight_k, raw.bias_k) = key.pointers("k", k, width)?;
                (raw.weight_v, raw.bias_v) = value.pointers("v", v, width)?;
            }
        }
        if let Some(out) = &self.out_projection {
            let heads = attention.heads_q * attention.dim_v;
            (raw.weight_o, raw.bias_o) = out.pointers("o", raw.dim_output, heads)?;
        }
        Ok(())
    }
}

/// Numbers from 1 on whose products can be counted.
fn small(name: &str, given: [usize; 2]) -> Result<[i64; 2], Error> {
    const MOST: usize = 1 << 30;
    for number in given {
        if !(1..=MOST).contains(&number) {
            return Err(Error::argument(format!("{name}: expected 1 to {MOST}, got {number}")));
        }
    }
    Ok(given.map(|number| number as i64))
}
