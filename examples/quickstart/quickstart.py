#!/usr/bin/env python3
# quickstart.py - three words, each of which looks at itself and at those before it.
# SPDX-License-Identifier: BSD-3-Clause
#
#     python3 quickstart.py
import attn
import numpy

words = numpy.array([[1, 0, 1, 0], [0, 2, 0, 2], [1, 1, 1, 1]], dtype=numpy.float32)
output, weights = attn.scaled_dot_product_attention(words, words, words, is_causal=True, return_weights=True)
for name, rows in (("weights", weights), ("output", output)):
    print(name)
    for row in rows:
        print("".join(f"{number:7.3f}" for number in row))
