// options.rs - each option of the crate does what the field of attn_args does: the same bits.
// SPDX-License-Identifier: BSD-3-Clause
use attn::{Args, Context, Layer, Norm, Projection, Projections, Rope, Score, Stage, View, ViewMut};
use attn_sys::{attn_args, attn_self_args};

const B: usize = 2;
const HQ: usize = 4;
const HKV: usize = 2;
const N: usize = 5;
const K: usize = 7;
const D: usize = 4;
const DV: usize = 6;
const E: usize = 8;
const P: usize = 3;

fn wave(count: usize, step: f32) -> Vec<f32> {
    (0..count).map(|n| ((n + 1) as f32 * step).sin()).collect()
}

/// The inputs of all calls.
struct Inputs {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    bias: Vec<f32>,
    mask: Vec<bool>,
    residual: Vec<f32>,
    heads: Vec<f32>,
    centers: Vec<f32>,
    predict: Vec<f32>,
    vector: Vec<f32>,
    square: Vec<f32>,
    row: Vec<f32>,
    gain: Vec<f32>,
}

impl Inputs {
    fn new() -> Self {
        Self {
            q: wave(B * HQ * N * D, 0.3),
            k: wave(B * HKV * K * D, 0.7),
            v: wave(B * HKV * K * DV, 1.1),
            bias: wave(B * HQ * N * K, 0.9),
            mask: (0..B * K).map(|n| n % 3 != 0).collect(),
            residual: wave(B * HQ * N * DV, 0.2),
            heads: wave(HQ, 0.4),
            centers: wave(B * HQ * N, 0.6),
            predict: wave(P * D, 0.8),
            vector: wave(P, 0.9),
            square: wave(D * D, 1.3),
            row: wave(D, 1.7),
            gain: wave(DV, 1.9),
        }
    }
}

/// What a call leaves behind.
#[derive(PartialEq)]
struct Results {
    output: Vec<f32>,
    weights: Vec<f32>,
    scores: Vec<f32>,
    lse: Vec<f32>,
}

impl Results {
    fn new() -> Self {
        let matrix = vec![0.0; B * HQ * N * K];
        Self {
            output: vec![0.0; B * HQ * N * DV],
            weights: matrix.clone(),
            scores: matrix,
            lse: vec![0.0; B * HQ * N],
        }
    }
}

/// A call as C makes it; its window lets `attn_local` take it.
fn by_c(
    context: &Context,
    inputs: &Inputs,
    change: impl Fn(&mut attn_args, &Inputs, &mut Results),
) -> Results {
    let mut results = Results::new();
    let mut raw = attn_args {
        batch: B as i64,
        heads_q: HQ as i64,
        heads_kv: HKV as i64,
        len_q: N as i64,
        len_k: K as i64,
        dim: D as i64,
        dim_v: DV as i64,
        query: inputs.q.as_ptr(),
        key: inputs.k.as_ptr(),
        value: inputs.v.as_ptr(),
        output: results.output.as_mut_ptr(),
        has_window: 1,
        window_left: 3,
        window_right: 2,
        ..attn_args::default()
    };
    change(&mut raw, inputs, &mut results);
    assert_eq!(unsafe { attn_sys::attn_local(context.as_ptr(), &raw) }, attn_sys::ATTN_OK);
    results
}

/// The same call by the crate.
fn by_rust(
    context: &mut Context,
    inputs: &Inputs,
    change: impl for<'a> Fn(Args<'a>, &'a Inputs) -> Args<'a>,
) -> Results {
    let mut results = Results::new();
    let query = View::new(&inputs.q, [B, HQ, N, D]).unwrap();
    let key = View::new(&inputs.k, [B, HKV, K, D]).unwrap();
    let value = View::new(&inputs.v, [B, HKV, K, DV]).unwrap();
    let output = ViewMut::new(&mut results.output, [B, HQ, N, DV]).unwrap();
    let args = Args::new(query, key, value, output).window(Some(3), Some(2));
    context.local(&mut change(args, inputs)).unwrap();
    results
}

fn numbers() -> (&'static [i64], &'static [i64], &'static [i64]) {
    (&[4, 5], &[7, 3], &[1, -2])
}

static MASK_STRIDES: [i64; 4] = [K as i64, 0, 0, 1];

/// The option does the same in both, and something.
macro_rules! same {
    ($context:ident, $inputs:ident, $rust:expr, $c:expr) => {
        let expected = by_c(&$context, &$inputs, $c);
        assert!(by_rust(&mut $context, &$inputs, $rust) == expected, stringify!($rust));
        assert!(by_c(&$context, &$inputs, |_, _, _| ()) != expected, stringify!($rust));
    };
}

#[test]
fn rules() {
    let (mut context, inputs) = (Context::new().unwrap(), Inputs::new());
    assert!(by_rust(&mut context, &inputs, |a, _| a) == by_c(&context, &inputs, |_, _, _| ()));
    same!(context, inputs, |a, _| a.scale(0.0), |r, _, _| r.has_scale = 1);
    same!(context, inputs, |a, _| a.causal(), |r, _, _| r.causal = 1);
    same!(context, inputs, |a, _| a.window(None, Some(0)), |r, _, _| (r.window_left, r.window_right) =
        (-1, 0));
    same!(context, inputs, |a, _| a.window_prefix(2), |r, _, _| r.window_prefix = 2);
    same!(context, inputs, |a, _| a.window_dilation(2), |r, _, _| r.window_dilation = 2);
    same!(context, inputs, |a, _| a.offset(2), |r, _, _| r.offset = 2);
    same!(context, inputs, |a, _| a.offsets(numbers().2), |r, _, _| r.offsets = numbers().2.as_ptr());
    same!(context, inputs, |a, _| a.lengths_q(numbers().0), |r, _, _| r.lengths_q = numbers().0.as_ptr());
    same!(context, inputs, |a, _| a.lengths_k(numbers().1), |r, _, _| r.lengths_k = numbers().1.as_ptr());
    same!(context, inputs, |a, _| a.softcap(0.5), |r, _, _| r.softcap = 0.5);
    same!(context, inputs, |a, i| a.alibi_slopes(&i.heads), |r, i, _| r.alibi_slopes = i.heads.as_ptr());
    same!(context, inputs, |a, i| a.sinks(&i.heads), |r, i, _| r.sinks = i.heads.as_ptr());
    same!(context, inputs, |a, i| a.bias(View::new(&i.bias, [B, HQ, N, K]).unwrap()), |r, i, _| r.bias =
        i.bias.as_ptr());
    same!(
        context,
        inputs,
        |a, i| a.mask(View::new(&i.mask, [B, 1, 1, K]).unwrap().broadcast([B, HQ, N, K]).unwrap()),
        |r, i, _| (r.mask, r.mask_strides) = (i.mask.as_ptr().cast(), MASK_STRIDES.as_ptr())
    );
}

#[test]
fn middles_and_scores() {
    let (mut context, inputs) = (Context::new().unwrap(), Inputs::new());
    same!(
        context,
        inputs,
        |a, i| a.centers(View::new(&i.centers, [B, HQ, N]).unwrap()).sigma(0.7),
        |r, i, _| (r.centers, r.sigma) = (i.centers.as_ptr(), 0.7)
    );
    same!(
        context,
        inputs,
        |a, i| a.predict(View::new(&i.predict, [P, D]).unwrap(), &i.vector),
        |r, i, _| (r.predict_matrix, r.predict_vector, r.predict_dim) =
            (i.predict.as_ptr(), i.vector.as_ptr(), P as i64)
    );
    same!(
        context,
        inputs,
        |a, i| a.score(Score::General(View::new(&i.square, [D, D]).unwrap())),
        |r, i, _| (r.score_function, r.score_weight) = (attn_sys::ATTN_SCORE_GENERAL, i.square.as_ptr())
    );
    same!(context, inputs, |a, i| a.score(Score::Additive(&i.row)), |r, i, _| (
        r.score_function,
        r.score_weight
    ) =
        (attn_sys::ATTN_SCORE_ADDITIVE, i.row.as_ptr()));
    same!(
        context,
        inputs,
        |a, i| a.residual(View::new(&i.residual, [B, HQ, N, DV]).unwrap()),
        |r, i, _| r.residual = i.residual.as_ptr()
    );
    for (norm, number) in [(Norm::L2, 1), (Norm::Rms, 2), (Norm::Layer, 3)] {
        let made = by_rust(&mut context, &inputs, |a, i| {
            a.norm(norm).norm_epsilon(0.1).norm_gain(&i.gain).norm_shift(&i.gain)
        });
        let expected = by_c(&context, &inputs, |r, i, _| {
            (r.norm, r.norm_epsilon) = (number, 0.1);
            (r.norm_gain, r.norm_shift) = (i.gain.as_ptr(), i.gain.as_ptr());
        });
        assert!(made == expected, "{norm:?}");
    }
}

#[test]
fn results() {
    let (mut context, inputs) = (Context::new().unwrap(), Inputs::new());
    let expected = by_c(&context, &inputs, |r, _, to| {
        (r.weights, r.lse) = (to.weights.as_mut_ptr(), to.lse.as_mut_ptr());
        (r.scores, r.scores_stage) = (to.scores.as_mut_ptr(), 2);
    });
    let mut made = Results::new();
    let shape = [B, HQ, N, K];
    let query = View::new(&inputs.q, [B, HQ, N, D]).unwrap();
    let key = View::new(&inputs.k, [B, HKV, K, D]).unwrap();
    let value = View::new(&inputs.v, [B, HKV, K, DV]).unwrap();
    let mut args = Args::new(query, key, value, ViewMut::new(&mut made.output, [B, HQ, N, DV]).unwrap())
        .window(Some(3), Some(2))
        .weights(ViewMut::new(&mut made.weights, shape).unwrap())
        .scores(ViewMut::new(&mut made.scores, shape).unwrap(), Stage::Masked)
        .lse(ViewMut::new(&mut made.lse, [B, HQ, N]).unwrap());
    assert_eq!(context.explain(&mut args).unwrap().path, "tiled");
    context.local(&mut args).unwrap();
    assert!(made == expected);
}

#[test]
fn packed_sequences() {
    let (mut context, inputs) = (Context::new().unwrap(), Inputs::new());
    let (starts_q, starts_k) = ([0, 2, 5], [0, 7, 7]);
    let (strides_q, strides_out) = ([0, (N * D) as i64, D as i64], [0, (N * DV) as i64, DV as i64]);
    let (strides_k, strides_v) = ([0, (K * D) as i64, D as i64], [0, (K * DV) as i64, DV as i64]);
    let expected = by_c(&context, &inputs, |r, _, _| {
        (r.query_strides, r.output_strides) = (strides_q.as_ptr(), strides_out.as_ptr());
        (r.key_strides, r.value_strides) = (strides_k.as_ptr(), strides_v.as_ptr());
        (r.starts_q, r.starts_k, r.len_q) = (starts_q.as_ptr(), starts_k.as_ptr(), 3);
    });
    let mut made = Results::new();
    let query = View::new(&inputs.q, [1, HQ, N, D]).unwrap();
    let key = View::new(&inputs.k, [1, HKV, K, D]).unwrap();
    let value = View::new(&inputs.v, [1, HKV, K, DV]).unwrap();
    let output = ViewMut::new(&mut made.output, [1, HQ, N, DV]).unwrap();
    let args = Args::new(query, key, value, output).window(Some(3), Some(2));
    context.local(&mut args.starts_q(&starts_q).starts_k(&starts_k)).unwrap();
    assert!(made == expected);
}

#[test]
fn other_layouts() {
    let (mut context, inputs) = (Context::new().unwrap(), Inputs::new());
    let expected = by_c(&context, &inputs, |_, _, _| ());
    let mut swapped = vec![0.0; inputs.q.len()];
    for n in 0..inputs.q.len() {
        let (b, h, i, d) = (n / (HQ * N * D), n / (N * D) % HQ, n / D % N, n % D);
        swapped[((b * N + i) * HQ + h) * D + d] = inputs.q[n];
    }
    let mut output = vec![0.0; B * N * HQ * DV];
    let query = View::new(&swapped, [B, N, HQ, D]).unwrap().swap_axes(1, 2);
    let key = View::new(&inputs.k, [B, HKV, K, D]).unwrap();
    let value = View::new(&inputs.v, [B, HKV, K, DV]).unwrap();
    let view = ViewMut::new(&mut output, [B, N, HQ, DV]).unwrap().swap_axes(1, 2);
    context.local(&mut Args::new(query, key, value, view).window(Some(3), Some(2))).unwrap();
    for (n, number) in expected.output.iter().enumerate() {
        let (b, h, i, d) = (n / (HQ * N * DV), n / (N * DV) % HQ, n / DV % N, n % DV);
        assert_eq!(output[((b * N + i) * HQ + h) * DV + d], *number);
    }
}

/// A layer of 2 heads over 1 head of keys: C with packed weights, the crate with these and one by one.
#[test]
fn layers() {
    const ROWS: usize = 2 * D + D + DV;
    let (x, weight, bias) = (wave(B * N * E, 0.35), wave(ROWS * E, 0.15), wave(ROWS, 0.25));
    let (out_weight, out_bias, gain) = (wave(E * 2 * DV, 0.45), wave(E, 0.55), wave(E, 1.9));
    let mut context = Context::new().unwrap();
    let mut expected = vec![0.0; B * N * E];
    let attention = attn_args {
        batch: B as i64,
        heads_q: 2,
        heads_kv: 1,
        len_q: N as i64,
        len_k: N as i64,
        dim: D as i64,
        dim_v: DV as i64,
        causal: 1,
        residual: x.as_ptr(),
        norm: attn_sys::ATTN_NORM_RMS,
        norm_gain: gain.as_ptr(),
        ..attn_args::default()
    };
    let raw = attn_self_args {
        attention: &attention,
        dim_model: E as i64,
        x: x.as_ptr(),
        output: expected.as_mut_ptr(),
        weight_qkv: weight.as_ptr(),
        bias_qkv: bias.as_ptr(),
        weight_o: out_weight.as_ptr(),
        bias_o: out_bias.as_ptr(),
        rope: attn_sys::ATTN_ROPE_INTERLEAVED,
        rope_base: 100.0,
        rope_dim: 2,
        ..attn_self_args::default()
    };
    assert_eq!(unsafe { attn_sys::attn_self(context.as_ptr(), &raw) }, attn_sys::ATTN_OK);

    let part = |first: usize, rows: usize| {
        let weight = View::new(&weight[first * E..], [rows, E]).unwrap();
        Projection::with_bias(weight, &bias[first..first + rows])
    };
    let packed = Projections::Packed(part(0, ROWS));
    let single = Projections::Single([part(0, 2 * D), part(2 * D, D), part(3 * D, DV)]);
    for projections in [packed, single] {
        let mut output = vec![0.0; B * N * E];
        let view = ViewMut::new(&mut output, [B, N, E]).unwrap();
        let input = View::new(&x, [B, N, E]).unwrap();
        let mut layer = Layer::new(input, view, 2, D, projections)
            .heads_kv(1)
            .dim_v(DV)
            .out_projection(Projection::with_bias(View::new(&out_weight, [E, 2 * DV]).unwrap(), &out_bias))
            .rope(Rope::Interleaved)
            .rope_base(100.0)
            .rope_dim(2)
            .causal()
            .residual(input)
            .norm(Norm::Rms)
            .norm_gain(&gain);
        assert!(context.explain_layer(&mut layer).unwrap().scratch_bytes > 0);
        context.layer(&mut layer).unwrap();
        assert_eq!(output, expected);
    }
}
