// quickstart.mjs - three words, each of which looks at itself and at those before it.
// SPDX-License-Identifier: BSD-3-Clause
//
//     npm ci && node quickstart.mjs
import {Context} from './attn.mjs';

function printRows(name, rows, width) {
  console.log(name);
  for (let n = 0; n < rows.length; n += width)
    console.log([...rows.subarray(n, n + width)].map((number) => number.toFixed(3).padStart(7)).join(''));
}

const words = Float32Array.of(1, 0, 1, 0, 0, 2, 0, 2, 1, 1, 1, 1);
const output = new Float32Array(3 * 4), weights = new Float32Array(3 * 3);
const context = new Context();
context.global({batch: 1, heads_q: 1, len_q: 3, len_k: 3, dim: 4, query: words, key: words, value: words,
                output, weights, causal: 1});
printRows('weights', weights, 3);
printRows('output', output, 4);
context.destroy();
