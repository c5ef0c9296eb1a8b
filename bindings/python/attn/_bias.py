"""_bias.py - numbers that the caller may add to scores.

SPDX-License-Identifier: BSD-3-Clause
"""
import operator

import numpy as np

from ._arrays import Floats


def alibi_slopes(heads: int) -> Floats:
    """The standard ALiBi slopes for that many heads (Press, Smith and Lewis, 2022).

    With n the largest power of two that is at most heads, head h has 2^(-8 (h + 1) / n) if h < n, and
    2^(-4 (2 (h - n) + 1) / n) otherwise.

    >>> import attn
    >>> attn.alibi_slopes(4).tolist()
    [0.25, 0.0625, 0.015625, 0.00390625]
    >>> attn.alibi_slopes(3).tolist()
    [0.0625, 0.00390625, 0.25]
    """
    heads = operator.index(heads)
    if heads < 0:
        raise ValueError(f"heads: expected at least 0, got {heads}")
    n = 1 << max(heads.bit_length() - 1, 0)
    head = np.arange(heads)
    exponents = np.where(head < n, -8 * (head + 1) / n, -4 * (2 * (head - n) + 1) / n)
    return (2.0 ** exponents).astype(np.float32)
