"""array_tests.py - what arrays the binding takes, and that it copies none that it need not.

SPDX-License-Identifier: BSD-3-Clause
"""
import tracemalloc

import numpy as np

import attn
from support import BindingTest, Foreign, inputs, normal

sdpa = attn.scaled_dot_product_attention


class Dimensions(BindingTest):
    def test_two_and_three_dimensions(self):
        arrays = inputs(0)
        whole = sdpa(*arrays, is_causal=True, return_lse=True, return_weights=True, return_scores=0)
        for heads in (np.s_[:, 1], np.s_[1, 1]):
            parts = sdpa(*(array[heads] for array in arrays), is_causal=True, return_lse=True,
                         return_weights=True, return_scores=0)
            for part, all_of_them in zip(parts, whole):
                self.assert_same_bits(part, all_of_them[heads])

    def test_three_dimensions_are_heads_where_grouped(self):
        query, key, value = inputs(1, heads=6, heads_kv=2)
        slopes, whole = attn.alibi_slopes(6), sdpa(query, key, value, enable_gqa=True)
        self.assert_same_bits(sdpa(query[1], key[1], value[1], enable_gqa=True), whole[1])
        self.assert_same_bits(sdpa(query[1], key[1], value[1], enable_gqa=True, alibi_slopes=slopes),
                              sdpa(query, key, value, enable_gqa=True, alibi_slopes=slopes)[1])

    def test_batches_of_three_dimensions_have_lengths(self):
        query, key, value = (array[:, 0] for array in inputs(2))
        self.assert_same_bits(sdpa(query, key, value, kv_lengths=[4, 7])[1],
                              sdpa(query[1], key[1], value[1], kv_lengths=7))

    def test_sizes_of_one_are_broadcast(self):
        query, key, value = inputs(3)
        for part in (np.s_[:1], np.s_[:, :1], np.s_[:1, :1]):
            full = [np.array(np.broadcast_to(array[part], array.shape)) for array in (query, key, value)]
            self.assert_close(sdpa(query, key[part], value[part]), sdpa(query, full[1], full[2]), 1e-6)
            self.assert_same_bits(sdpa(query[part], key, value), sdpa(full[0], key, value))

    def test_masks_are_broadcast_from_the_right(self):
        arrays, mask = inputs(4), np.random.default_rng(4).random((2, 3, 9, 11)) < 0.6
        for part in (np.s_[:], np.s_[:1], np.s_[:, :1], np.s_[0], np.s_[0, 0], np.s_[0, 0, 0],
                     np.s_[..., :1]):
            full = np.ascontiguousarray(np.broadcast_to(mask[part], mask.shape))
            self.assert_same_bits(sdpa(*arrays, mask[part]), sdpa(*arrays, full))
            bias = np.where(mask, np.float32(0), np.float32(-np.inf))
            self.assert_same_bits(sdpa(*arrays, bias[part]), sdpa(*arrays, full))

    def test_masks_of_three_dimensional_arrays(self):
        arrays, mask = inputs(5), np.random.default_rng(5).random((2, 9, 11)) < 0.6
        self.assert_same_bits(sdpa(*(array[:, 0] for array in arrays), mask),
                              sdpa(*arrays, mask[:, np.newaxis])[:, 0])

    def test_residuals_have_the_shape_of_the_output(self):
        arrays, residual = inputs(6), normal(np.random.default_rng(6), 2, 3, 9, 8)
        want = sdpa(*arrays, residual=residual, norm="rms")
        swapped = [array.swapaxes(1, 2) for array in (*arrays, residual)]
        for last in (swapped[3], np.asfortranarray(swapped[3])):
            output = sdpa(*swapped[:3], residual=last, norm="rms", layout="BSHD")
            self.assert_same_bits(output.swapaxes(1, 2), want)
        output = sdpa(*(array[0, 0] for array in arrays), residual=residual[0, 0], norm="rms")
        self.assert_same_bits(output, want[0, 0])
        out = residual.copy()
        self.assertIs(sdpa(*arrays, residual=out, norm="rms", out=out), out)
        self.assert_same_bits(out, want)

    def test_weights_of_scores_may_be_views(self):
        arrays, weight = inputs(6), normal(np.random.default_rng(7), 8, 16)
        for function, view in (("general", weight[:, ::2]), ("additive", weight[:, 3])):
            self.assert_same_bits(sdpa(*arrays, score_function=function, score_weight=view),
                                  sdpa(*arrays, score_function=function, score_weight=view.copy()))

    def test_nothing_to_normalise(self):
        query, key, value = inputs(6)
        nothing = np.zeros(0, np.float32)
        output = sdpa(query, key, value[..., :0], residual=nothing, norm="layer", norm_gain=nothing)
        self.assertEqual(output.shape, (2, 3, 9, 0))

    def test_rows_before_heads(self):
        arrays = inputs(6, heads=4, heads_kv=2)
        rules = {"enable_gqa": True, "is_causal": True, "return_lse": True, "return_weights": True}
        swapped = [np.ascontiguousarray(array.swapaxes(1, 2)) for array in arrays]
        want, got = sdpa(*arrays, **rules), sdpa(*swapped, **rules, layout="BSHD")
        self.assertTrue(got[0].flags.c_contiguous)
        for one, other in zip((got[0].swapaxes(1, 2),) + got[1:], want):
            self.assert_same_bits(one, other)
        alone = sdpa(*(array[0] for array in swapped), **rules, layout="BSHD")
        self.assert_same_bits(alone[0], got[0][0])
        local = attn.local_attention(*swapped, 3, enable_gqa=True, layout="BSHD")
        self.assert_same_bits(local.swapaxes(1, 2), attn.local_attention(*arrays, 3, enable_gqa=True))


class Views(BindingTest):
    def check_views(self, views, **options):
        copies = [np.array(view, order="C") for view in views]
        self.assert_same_bits(sdpa(*views, **options), sdpa(*copies, **options))

    def test_any_strides(self):
        packed = normal(np.random.default_rng(0), 2, 9, 3, 4, 8)  # batch, length, which, heads, size
        self.check_views([packed[:, :, which].swapaxes(1, 2) for which in range(3)])
        self.check_views([packed[::-1, ::-1, which, ::-1].swapaxes(1, 2) for which in range(3)])
        self.check_views([packed[:, ::3, which, ::2, 2:7].swapaxes(1, 2) for which in range(3)])
        self.check_views([np.broadcast_to(packed[:1, :, which], (5, 9, 4, 8)).swapaxes(1, 2)
                          for which in range(3)])

    def test_columns_apart(self):
        query, key, value = inputs(1, len_q=8, len_k=8)
        self.check_views([query[..., ::2], key[..., ::-2][..., :4], value[..., ::-1]])
        self.check_views([array.swapaxes(2, 3) for array in (query, key, value)])

    def test_unaligned_and_packed_in_structs(self):
        query, key, value = inputs(2)
        unaligned = np.zeros(query.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(query.shape)
        unaligned[...] = query
        self.assertFalse(unaligned.flags.aligned)
        self.check_views([unaligned, key, value])
        struct = np.zeros(key.shape[:3], np.dtype([("tag", np.uint8), ("key", np.float32, 8)]))
        struct["key"] = key
        self.check_views([query, struct["key"], value])

    def test_read_only(self):
        arrays = inputs(3)
        for array in arrays:
            array.flags.writeable = False
        self.assertEqual(sdpa(*arrays).shape, arrays[0].shape)

    def test_nothing_is_copied(self):
        packed = normal(np.random.default_rng(4), 20000, 3, 4, 32)  # 30 MB
        query, key, value = (packed[::-1, which].swapaxes(0, 1)[np.newaxis] for which in range(3))
        mask = np.broadcast_to(np.arange(20000) % 2 == 0, (1, 4, 1, 20000))
        sdpa(query[:, :, :1], key, value, mask)
        tracemalloc.start()
        sdpa(query[:, :, :1], key, value, mask)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        self.assertLess(peak, 100000)

    def test_strided_masks_and_centers(self):
        arrays, rng = inputs(5), np.random.default_rng(5)
        mask = rng.random((11, 9, 3, 2)) < 0.6
        self.assert_same_bits(sdpa(*arrays, mask.T), sdpa(*arrays, np.array(mask.T, order="C")))
        bias = normal(rng, 22, 9, 3, 2).T[..., ::-2]
        self.assert_same_bits(sdpa(*arrays, bias), sdpa(*arrays, np.array(bias, order="C")))
        centers = rng.uniform(0, 11, (9, 3, 2)).astype(np.float32).T
        self.assert_same_bits(attn.local_attention(*arrays, 3, centers=centers),
                              attn.local_attention(*arrays, 3, centers=np.array(centers, order="C")))
        spread = np.array(np.broadcast_to(centers[0, 0], (2, 3, 9)))
        self.assert_same_bits(attn.local_attention(*arrays, 3, centers=centers[0, 0]),
                              attn.local_attention(*arrays, 3, centers=spread))


class OtherLibraries(BindingTest):
    def test_dlpack(self):
        arrays = inputs(0)
        self.assert_same_bits(sdpa(*(Foreign(array) for array in arrays)), sdpa(*arrays))
        self.assert_same_bits(attn.softmax(Foreign(arrays[0])), attn.softmax(arrays[0]))
        with self.assertRaisesRegex(TypeError, "^query: expected float32, got float64; query.astype"):
            sdpa(Foreign(arrays[0].astype(np.float64)), *arrays[1:])

    def test_array_interface(self):
        class Holder:
            def __init__(self, array):
                self.array, self.__array_interface__ = array, array.__array_interface__

        arrays = inputs(1)
        self.assert_same_bits(sdpa(*(Holder(array) for array in arrays)), sdpa(*arrays))
        out = np.zeros_like(arrays[0])
        sdpa(*arrays, out=Holder(out))
        self.assert_same_bits(out, sdpa(*arrays))

    def test_lists_for_small_arguments(self):
        arrays = inputs(2)
        self.assert_same_bits(sdpa(*arrays, alibi_slopes=[1, 0.5, 0.25], sinks=(0, 1, 2), kv_lengths=[5, 6],
                                   query_lengths=(9, 2), offset=[1, 2], is_causal=True),
                              sdpa(*arrays, alibi_slopes=np.float32([1, 0.5, 0.25]), is_causal=True,
                                   sinks=np.float64([0, 1, 2]), kv_lengths=np.int32([5, 6]),
                                   query_lengths=np.uint8([9, 2]), offset=np.int64([1, 2])))


class Out(BindingTest):
    def test_out_is_returned_and_filled(self):
        arrays = inputs(0)
        want, out = sdpa(*arrays), np.full((2, 3, 9, 8), np.nan, np.float32)
        self.assertIs(sdpa(*arrays, out=out), out)
        self.assert_same_bits(out, want)
        self.assertIs(sdpa(*arrays, out=out, return_lse=True)[0], out)

    def test_views_as_out(self):
        arrays = inputs(1)
        want = sdpa(*arrays)
        for view in (np.s_[..., 2:10], np.s_[..., ::2], np.s_[::-1, ::-1, ::-1, :8]):
            around = np.full((2, 3, 9, 16), 7, np.float32)
            sdpa(*arrays, out=around[view])
            self.assert_same_bits(around[view], want)
            around[view] = 7
            self.assertTrue((around == 7).all())

    def test_out_over_the_inputs(self):
        arrays = inputs(2, len_k=9)
        want = sdpa(*arrays)
        for which in range(3):
            copies = [array.copy() for array in arrays]
            sdpa(*copies, out=copies[which])
            self.assert_same_bits(copies[which], want)

    def test_refused(self):
        arrays = inputs(3)
        with self.assertRaisesRegex(ValueError, r"^out: expected the shape \(2, 3, 9, 8\), got"):
            sdpa(*arrays, out=np.zeros((2, 3, 9, 9), np.float32))
        with self.assertRaisesRegex(TypeError, "^out: expected float32, got float64"):
            sdpa(*arrays, out=np.zeros((2, 3, 9, 8)))
        read_only = np.zeros((2, 3, 9, 8), np.float32)
        read_only.flags.writeable = False
        with self.assertRaisesRegex(ValueError, "^out: expected an array that can be written"):
            sdpa(*arrays, out=read_only)
        twice = np.lib.stride_tricks.as_strided(np.zeros(8, np.float32), (2, 3, 9, 8), (0, 0, 0, 4))
        with self.assertRaisesRegex(ValueError, "^out: expected strides that write no element twice"):
            sdpa(*arrays, out=twice)
