#!/usr/bin/env python3
# textbook.py - the same through the foreign-function interface: no header, no macro, structs by hand.
# SPDX-License-Identifier: BSD-3-Clause
#
#     python3 textbook.py [path of libattn.so]
import ctypes
import sys
from ctypes import POINTER, byref, c_char_p, c_float, c_int32, c_int64, c_uint64, c_void_p

floats = POINTER(c_float)
strides = POINTER(c_int64)


class Options(ctypes.Structure):
    _fields_ = [("size", c_uint64), ("threads", c_int32), ("engine", c_int32), ("isa", c_int32),
                ("reserved", c_int32), ("user", c_void_p), ("allocate", c_void_p),
                ("deallocate", c_void_p), ("parallel_for", c_void_p)]


class Args(ctypes.Structure):
    _fields_ = [("size", c_uint64), ("batch", c_int64), ("heads_q", c_int64), ("heads_kv", c_int64),
                ("len_q", c_int64), ("len_k", c_int64), ("dim", c_int64), ("dim_v", c_int64),
                ("query", floats), ("key", floats), ("value", floats), ("output", floats),
                ("query_strides", strides), ("key_strides", strides), ("value_strides", strides),
                ("output_strides", strides), ("has_scale", c_int32), ("scale", c_float),
                ("causal", c_int32), ("has_window", c_int32), ("offset", c_int64),
                ("weights", floats), ("weights_strides", strides), ("lse", floats),
                ("lse_strides", strides)]


class Plan(ctypes.Structure):
    _fields_ = [("size", c_uint64), ("scratch_bytes", c_uint64), ("threads", c_int64),
                ("tasks", c_int64), ("tile_q", c_int64), ("tile_k", c_int64), ("path", c_char_p),
                ("engine", c_char_p)]


class SoftmaxArgs(ctypes.Structure):
    _fields_ = [("size", c_uint64), ("rows", c_int64), ("cols", c_int64), ("input", floats),
                ("output", floats), ("input_stride", c_int64), ("output_stride", c_int64),
                ("has_scale", c_int32), ("scale", c_float), ("lse", floats)]


class Info(ctypes.Structure):
    _fields_ = [("size", c_uint64), ("threads", c_int64)] + [
        (name, c_char_p) for name in ("cpu", "cpu_isa", "isa", "engine", "blas", "blas_flavor",
                                      "blas_core", "warning")]


SIZES = {Options: 56, Args: 184, Plan: 64, SoftmaxArgs: 72, Info: 80}


def load(path):
    library = ctypes.CDLL(path)
    context = c_void_p
    signatures = {
        "attn_create": (c_int32, POINTER(context), POINTER(Options)),
        "attn_destroy": (None, context),
        "attn_global": (c_int32, context, POINTER(Args)),
        "attn_explain": (c_int32, context, POINTER(Args), POINTER(Plan)),
        "attn_softmax": (c_int32, context, POINTER(SoftmaxArgs)),
        "attn_describe": (c_int32, context, POINTER(Info)),
        "attn_description": (c_char_p, context),
        "attn_last_error": (c_char_p, context),
        "attn_version_text": (c_char_p,),
    }
    for name, (result, *arguments) in signatures.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


def sized(struct, **fields):
    return struct(size=ctypes.sizeof(struct), **fields)


def array(*numbers):
    return (c_float * len(numbers))(*numbers)


def main():
    for struct, size in SIZES.items():
        assert ctypes.sizeof(struct) == size, struct
    library = load(sys.argv[1] if len(sys.argv) > 1 else "libattn.so.0")
    context = c_void_p()
    assert library.attn_create(byref(context), sized(Options, threads=2)) == 0, library.attn_last_error(None)

    def check(status):
        assert status == 0, library.attn_last_error(context).decode()

    print(library.attn_description(context).decode())
    info = sized(Info)
    check(library.attn_describe(context, byref(info)))
    assert info.threads == 2 and info.warning is not None

    word, output, lse = array(1, 2, 3, 4), array(0, 0, 0, 0), array(0)
    args = sized(Args, batch=1, heads_q=1, len_q=1, len_k=1, dim=4, query=word, key=word, value=word,
                 output=output, lse=lse)
    check(library.attn_global(context, byref(args)))
    print("output", list(output), "log-sum-exp", lse[0])
    assert list(output) == [1, 2, 3, 4] and lse[0] == 15

    plan = sized(Plan)
    check(library.attn_explain(context, byref(args), byref(plan)))
    assert plan.path == b"tiled" and plan.tasks == 1

    row = array(5, 5)
    check(library.attn_softmax(context, byref(sized(SoftmaxArgs, rows=1, cols=2, input=row, output=row))))
    assert list(row) == [0.5, 0.5]

    args.dim = -1
    assert library.attn_global(context, byref(args)) == 1
    print("an error:", library.attn_last_error(context).decode())
    library.attn_destroy(context)


main()
