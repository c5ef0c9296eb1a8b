// main.rs - three words, each of which looks at itself and at those before it.
// SPDX-License-Identifier: BSD-3-Clause
//
//     cargo run
use attn::{Args, Context, View, ViewMut};

fn print_rows(name: &str, rows: &[f32], width: usize) {
    println!("{name}");
    for row in rows.chunks(width) {
        println!("{}", row.iter().map(|number| format!("{number:7.3}")).collect::<String>());
    }
}

fn main() -> Result<(), attn::Error> {
    let words = [1.0, 0.0, 1.0, 0.0, 0.0, 2.0, 0.0, 2.0, 1.0, 1.0, 1.0, 1.0];
    let (mut output, mut weights) = ([0.0; 3 * 4], [0.0; 3 * 3]);
    let rows = View::new(&words, [1, 1, 3, 4])?; // batch, heads, rows, columns
    let mut args = Args::new(rows, rows, rows, ViewMut::new(&mut output, [1, 1, 3, 4])?)
        .causal()
        .weights(ViewMut::new(&mut weights, [1, 1, 3, 3])?);
    Context::new()?.global(&mut args)?;
    print_rows("weights", &weights, 3);
    print_rows("output", &output, 4);
    Ok(())
}
