"""__init__.py - attn: attention on CPUs for NumPy arrays, through the C library libattn.

SPDX-License-Identifier: BSD-3-Clause

>>> import attn, numpy
>>> x = numpy.array([[1, 2, 3, 4]], dtype=numpy.float32)
>>> attn.scaled_dot_product_attention(x, x, x)
array([[1., 2., 3., 4.]], dtype=float32)

Arrays are NumPy's, or anything with __array_interface__ or __dlpack__ that lives in the CPU's memory, and
float32. Any view whose last dimension is contiguous is used where it is; another one is copied first.
The library is libattn.so.0 as the dynamic linker finds it; the environment variable ATTN_LIBRARY names
another file. Python's lock is released while the library works.
"""
from ._attention import explain, local_attention, scaled_dot_product_attention
from ._bias import alibi_slopes
from ._context import Context, show_config
from ._library import version as _version
from ._merge import merge
from ._self import explain_self, self_attention
from ._softmax import softmax

__version__ = _version()
__all__ = ["Context", "alibi_slopes", "explain", "explain_self", "local_attention", "merge",
           "scaled_dot_product_attention", "self_attention", "show_config", "softmax"]
