"""_library.py - the C library: its structs as attn/attn.h has them, and how it is loaded.

SPDX-License-Identifier: BSD-3-Clause
"""
import ctypes
import os
from typing import Any, Dict, List, Tuple

SONAME = "libattn.so.0"
OK, ARGUMENT, MEMORY = 0, 1, 2
ENGINES = {None: 0, "blas": 1, "builtin": 2}
ISAS = {None: 0, "reference": 1, "avx2": 2, "avx512": 3, "neon": 4, "amx": 5}
SCORES = {"dot": 0, "general": 1, "additive": 2}
NORMS = {None: 0, "l2": 1, "rms": 2, "layer": 3}
ROPES = {None: 0, "half": 1, "interleaved": 2}

# What the library's sentences call otherwise than the arguments here.
RENAMED = {"input": "x", "output": "out", "causal": "is_causal", "lengths_k": "kv_lengths",
           "lengths_q": "query_lengths", "starts_k": "kv_starts", "starts_q": "query_starts",
           "scores_stage": "return_scores", "predict_matrix": "predict", "predict_dim": "predict",
           "window_left": "window", "window_right": "window"}

_U64, _I64, _I32, _FLOAT = ctypes.c_uint64, ctypes.c_int64, ctypes.c_int32, ctypes.c_float
_POINTER, _TEXT = ctypes.c_void_p, ctypes.c_char_p


def _all(kind: Any, names: str) -> List[Tuple[str, Any]]:
    return [(name, kind) for name in names.split()]


class Sized(ctypes.Structure):
    """A struct whose first field is its own size."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(size=ctypes.sizeof(self), **fields)

    def values(self) -> Dict[str, Any]:
        """All other fields by name, texts as str."""
        values = {field[0]: getattr(self, field[0]) for field in self._fields_[1:]}
        return {name: value.decode() if isinstance(value, bytes) else value
                for name, value in values.items()}


class Options(Sized):
    """attn_options"""
    _fields_ = [("size", _U64), *_all(_I32, "threads engine isa reserved"),
                *_all(_POINTER, "user allocate deallocate parallel_for"), *_all(_I32, "wipe reserved_2")]


class Args(Sized):
    """attn_args"""
    _fields_ = [("size", _U64), *_all(_I64, "batch heads_q heads_kv len_q len_k dim dim_v"),
                *_all(_POINTER, "query key value output"),
                *_all(_POINTER, "query_strides key_strides value_strides output_strides"),
                ("has_scale", _I32), ("scale", _FLOAT), *_all(_I32, "causal has_window"), ("offset", _I64),
                *_all(_POINTER, "weights weights_strides lse lse_strides scores scores_strides"),
                ("scores_stage", _I32), ("softcap", _FLOAT),
                *_all(_POINTER, "bias bias_strides alibi_slopes mask mask_strides"),
                *_all(_I64, "window_left window_right window_prefix window_dilation"),
                *_all(_POINTER, "offsets lengths_q lengths_k starts_q starts_k sinks"),
                *_all(_POINTER, "centers centers_strides predict_matrix predict_vector"),
                ("predict_dim", _I64), ("sigma", _FLOAT), ("score_function", _I32),
                *_all(_POINTER, "score_weight residual residual_strides norm_gain norm_shift"),
                ("norm", _I32), ("norm_epsilon", _FLOAT)]


class SelfArgs(Sized):
    """attn_self_args"""
    _fields_ = [("size", _U64), ("attention", _POINTER), *_all(_I64, "dim_model dim_output"),
                *_all(_POINTER, "x x_strides output output_strides"),
                *_all(_POINTER, "weight_qkv weight_q weight_k weight_v weight_o"),
                *_all(_POINTER, "bias_qkv bias_q bias_k bias_v bias_o"),
                ("rope", _I32), ("rope_base", _FLOAT), ("rope_dim", _I64)]


class Plan(Sized):
    """attn_plan"""
    _fields_ = [("size", _U64), ("scratch_bytes", _U64), *_all(_I64, "threads tasks tile_q tile_k"),
                *_all(_TEXT, "path engine")]


class MergeArgs(Sized):
    """attn_merge_args"""
    _fields_ = [("size", _U64), *_all(_I64, "parts batch heads len_q dim_v"),
                *_all(_POINTER, "outputs lses outputs_strides lses_strides"),
                *_all(_POINTER, "output output_strides lse lse_strides")]


class SoftmaxArgs(Sized):
    """attn_softmax_args"""
    _fields_ = [("size", _U64), *_all(_I64, "rows cols"), *_all(_POINTER, "input output"),
                *_all(_I64, "input_stride output_stride"), ("has_scale", _I32), ("scale", _FLOAT),
                ("lse", _POINTER)]


class Info(Sized):
    """attn_info"""
    _fields_ = [("size", _U64), ("threads", _I64),
                *_all(_TEXT, "cpu cpu_isa isa engine blas blas_flavor blas_core warning")]


_FUNCTIONS: Dict[str, Tuple[Any, List[Any]]] = {
    "attn_create": (_I32, [ctypes.POINTER(_POINTER), ctypes.POINTER(Options)]),
    "attn_destroy": (None, [_POINTER]),
    "attn_global": (_I32, [_POINTER, ctypes.POINTER(Args)]),
    "attn_local": (_I32, [_POINTER, ctypes.POINTER(Args)]),
    "attn_self": (_I32, [_POINTER, ctypes.POINTER(SelfArgs)]),
    "attn_explain": (_I32, [_POINTER, ctypes.POINTER(Args), ctypes.POINTER(Plan)]),
    "attn_explain_self": (_I32, [_POINTER, ctypes.POINTER(SelfArgs), ctypes.POINTER(Plan)]),
    "attn_merge": (_I32, [_POINTER, ctypes.POINTER(MergeArgs)]),
    "attn_softmax": (_I32, [_POINTER, ctypes.POINTER(SoftmaxArgs)]),
    "attn_describe": (_I32, [_POINTER, ctypes.POINTER(Info)]),
    "attn_description": (_TEXT, [_POINTER]),
    "attn_last_error": (_TEXT, [_POINTER]),
    "attn_status_text": (_TEXT, [_I32]),
    "attn_version_text": (_TEXT, []),
}


def _load() -> ctypes.CDLL:
    path = os.environ.get("ATTN_LIBRARY") or SONAME
    try:
        library = ctypes.CDLL(path)
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise ImportError(f"{path}: expected the library libattn (the environment variable ATTN_LIBRARY "
                          f"may name its file), got: {error}") from error
    return library


library = _load()


def version() -> str:
    """The library's version."""
    return str(library.attn_version_text().decode())


def error_of(status: int, sentence: bytes) -> Exception:
    """What to raise for a status that is not OK."""
    name, colon, rest = sentence.decode(errors="replace").partition(":")
    text = RENAMED.get(name, name) + colon + rest or library.attn_status_text(status).decode()
    return {ARGUMENT: ValueError, MEMORY: MemoryError}.get(status, RuntimeError)(text)
