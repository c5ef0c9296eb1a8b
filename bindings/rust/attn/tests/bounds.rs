// bounds.rs - what safe code must not be able to say: views outside their slices, arrays that do not fit.
// SPDX-License-Identifier: BSD-3-Clause
use attn::{
    Args, Code, Context, Error, Layer, Merge, Projection, Projections, Score, Softmax, View, ViewMut,
};

fn sentence<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.code(), Code::Argument);
    error.to_string()
}

#[test]
fn views_stay_inside() {
    let numbers = [0.0f32; 24];
    assert!(View::new(&numbers, [2, 3, 4]).is_ok());
    assert_eq!(
        sentence(View::new(&numbers, [2, 3, 5])),
        "view: expected at least 30 numbers for the shape [2, 3, 5], got 24"
    );
    assert!(View::new(&numbers, [0, 9, 9]).is_ok());
    assert!(View::new(&numbers, [usize::MAX, 1, 1]).is_err());
    assert!(View::new(&numbers, [usize::MAX, 2, 2]).is_err());
    assert!(View::new(&numbers, [0, usize::MAX, 1]).is_err());
    for (offset, strides, fits) in [
        (0, [12, 4, 1], true),
        (1, [12, 4, 1], false),
        (0, [13, 4, 1], false),
        (12, [-12, 4, 1], true),
        (11, [-12, 4, 1], false),
        (20, [-12, -4, 1], true),
        (23, [0, 0, 0], true),
        (24, [0, 0, 0], false),
        (0, [isize::MAX, 1, 1], false),
        (0, [isize::MIN, 1, 1], false),
        (usize::MAX, [1, 1, 1], false),
    ] {
        assert_eq!(
            View::strided(&numbers, offset, [2, 3, 4], strides).is_ok(),
            fits,
            "{offset} {strides:?}"
        );
    }
    assert!(View::strided(&numbers, 24, [2, 0, 4], [1, 1, 1]).is_ok());
    assert!(View::strided(&numbers, 25, [2, 0, 4], [1, 1, 1]).is_err());
    let row = View::new(&numbers, [1, 24]).unwrap();
    assert_eq!(row.broadcast([7, 24]).unwrap().shape(), [7, 24]);
    assert!(row.broadcast([7, 25]).is_err() && row.broadcast([usize::MAX, 24]).is_err());
}

#[test]
fn nothing_is_written_twice() {
    let mut numbers = [0.0f32; 24];
    for (shape, strides, distinct) in [
        ([2, 3, 4], [12, 4, 1], true),
        ([2, 3, 4], [-12, 4, 1], true),
        ([2, 3, 4], [0, 4, 1], false),
        ([2, 3, 4], [12, 3, 1], false),
        ([1, 3, 4], [0, 4, 1], true),
        ([3, 2, 4], [4, 12, 1], true),
        ([0, 2, 4], [0, 0, 0], true),
    ] {
        let offset = if strides[0] < 0 { 12 } else { 0 };
        let made = ViewMut::strided(&mut numbers, offset, shape, strides);
        assert_eq!(made.is_ok(), distinct, "{shape:?} {strides:?}");
    }
}

/// What a call with views of these shapes says.
fn call(shapes: [[usize; 4]; 4], change: impl for<'a> FnOnce(Args<'a>) -> Args<'a>) -> Result<(), Error> {
    let (inputs, mut output) = (vec![0.5f32; 1000], vec![0.0f32; 1000]);
    let [q, k, v, o] = shapes;
    let views = (View::new(&inputs, q)?, View::new(&inputs, k)?, View::new(&inputs, v)?);
    let args = Args::new(views.0, views.1, views.2, ViewMut::new(&mut output, o)?);
    Context::new()?.global(&mut change(args))
}

#[test]
fn shapes_fit_each_other() {
    let [q, k, v, o] = [[1, 2, 3, 4], [1, 2, 5, 4], [1, 2, 5, 6], [1, 2, 3, 6]];
    let plain = |shapes| call(shapes, |args| args);
    assert_eq!(plain([q, k, v, o]), Ok(()));
    for (shapes, expected) in [
        ([q, [1, 2, 5, 5], v, o], "key: expected the shape [1, 2, 5, 4], got [1, 2, 5, 5]"),
        ([q, [2, 2, 5, 4], v, o], "key: expected the shape [1, 2, 5, 4], got [2, 2, 5, 4]"),
        ([q, k, [1, 2, 4, 6], o], "value: expected the shape [1, 2, 5, 6], got [1, 2, 4, 6]"),
        ([q, [1, 0, 5, 4], [1, 0, 5, 6], o], "key: expected at least one head, got none"),
        ([q, k, [1, 2, 5, 0], [1, 2, 3, 0]], "value: expected at least one column, got none"),
        ([q, k, v, [1, 2, 3, 5]], "output: expected the shape [1, 2, 3, 6], got [1, 2, 3, 5]"),
        ([[1, 3, 3, 4], k, v, [1, 3, 3, 6]], "heads_q: expected a multiple of heads_kv, which is 2, got 3"),
    ] {
        assert_eq!(sentence(plain(shapes)), expected);
    }
}

#[test]
fn options_fit() {
    let shapes = [[1, 2, 3, 4], [1, 2, 5, 4], [1, 2, 5, 6], [1, 2, 3, 6]];
    let said = |change: fn(Args<'_>) -> Args<'_>| sentence(call(shapes, change));
    assert_eq!(said(|args| args.sinks(&[0.0; 3])), "sinks: expected 2 numbers, got 3");
    assert_eq!(said(|args| args.lengths_k(&[])), "lengths_k: expected 1 numbers, got 0");
    assert_eq!(said(|args| args.norm_gain(&[1.0; 5])), "norm_gain: expected 6 numbers, got 5");
    assert_eq!(
        said(|args| args.score(Score::Additive(&[1.0; 5]))),
        "score vector: expected 4 numbers, got 5"
    );
    assert_eq!(
        said(|args| args.score(Score::General(View::strided(&[0.0; 40], 0, [4, 4], [5, 1]).unwrap()))),
        "score matrix: expected a dense matrix, got the strides [5, 1]"
    );
    assert_eq!(
        said(|args| args.bias(View::new(&[0.0; 15], [1, 1, 3, 5]).unwrap())),
        "bias: expected the shape [1, 2, 3, 5], got [1, 1, 3, 5]"
    );
    assert_eq!(
        said(|args| args.starts_q(&[0, 4])),
        "starts_q: expected numbers that rise from 0 or more to at most 3, got [0, 4]"
    );
    assert_eq!(
        said(|args| args.starts_k(&[3, 2])),
        "starts_k: expected numbers that rise from 0 or more to at most 5, got [3, 2]"
    );
    assert_eq!(said(|args| args.starts_k(&[])), "starts_k: expected 1 numbers, got 0");
    assert_eq!(said(|args| args.lengths_k(&[6])), "lengths_k: expected 0 to 5, got 6 for batch entry 0");
    let columns = View::new(&[0.0; 24], [1, 2, 4, 3]).unwrap().swap_axes(2, 3);
    let mut output = [0.0; 36];
    let inputs = [0.0; 60];
    let (key, value) =
        (View::new(&inputs, [1, 2, 5, 4]).unwrap(), View::new(&inputs, [1, 2, 5, 6]).unwrap());
    let mut args = Args::new(columns, key, value, ViewMut::new(&mut output, [1, 2, 3, 6]).unwrap());
    assert_eq!(
        sentence(Context::new().unwrap().global(&mut args)),
        "query: expected rows whose elements are adjacent, got the strides [24, 12, 1, 3]"
    );
}

#[test]
fn layers_fit() {
    let (x, weight) = ([0.0f32; 16], [0.0f32; 96]);
    let said = |heads, dim, rows, out: usize| {
        let mut output = [0.0f32; 16];
        let qkv = Projection::new(View::new(&weight, [rows, 8]).unwrap());
        let output = ViewMut::new(&mut output, [1, 2, out]).unwrap();
        let mut layer =
            Layer::new(View::new(&x, [1, 2, 8]).unwrap(), output, heads, dim, Projections::Packed(qkv));
        sentence(Context::new().unwrap().layer(&mut layer))
    };
    assert_eq!(said(2, 4, 12, 8), "weight qkv: expected the shape [24, 8], got [12, 8]");
    assert_eq!(said(0, 4, 12, 8), "heads: expected 1 to 1073741824, got 0");
    assert_eq!(said(1, 4, 12, 0), "output: expected at least one column, got none");
    assert!(said(1, 4, 12, 8).starts_with("dim_output: "), "{}", said(1, 4, 12, 8));
}

#[test]
fn other_verbs_fit() {
    let mut context = Context::new().unwrap();
    let (input, mut output) = ([0.0f32; 6], [0.0f32; 6]);
    let view = View::new(&input, [2, 2]).unwrap();
    let mut softmax = Softmax::new(view, ViewMut::new(&mut output, [2, 3]).unwrap());
    assert_eq!(sentence(context.softmax(&mut softmax)), "input: expected the shape [2, 3], got [2, 2]");
    let repeated = View::new(&input, [1, 3]).unwrap().broadcast([2, 3]).unwrap();
    let mut softmax = Softmax::new(repeated, ViewMut::new(&mut output, [2, 3]).unwrap());
    assert_eq!(
        sentence(context.softmax(&mut softmax)),
        "rows: expected strides from row to row of at least 1"
    );
    let lse = View::new(&input, [1, 1, 2]).unwrap();
    let parts =
        [(View::new(&input, [1, 1, 2, 3]).unwrap(), lse), (View::new(&input, [1, 1, 2, 2]).unwrap(), lse)];
    let mut merge = Merge::new(&parts, ViewMut::new(&mut output, [1, 1, 2, 3]).unwrap());
    assert_eq!(sentence(context.merge(&mut merge)), "parts: expected the strides of part 0 in part 1");
    let mut merge = Merge::new(&[], ViewMut::new(&mut output, [1, 1, 2, 3]).unwrap());
    assert_eq!(sentence(context.merge(&mut merge)), "parts: expected 1 to 2147483647, got 0");
}

#[test]
fn contexts_say_what_is_wrong() {
    assert_eq!(sentence(Context::builder().threads(1025).build()), "threads: expected 0 to 1024, got 1025");
    let error: Box<dyn std::error::Error> = Box::new(Context::builder().threads(1025).build().unwrap_err());
    assert!(error.to_string().starts_with("threads"));
    assert!(Context::builder().wipe().build().is_ok());
    assert_eq!(attn::version(), env!("CARGO_PKG_VERSION"));
}
