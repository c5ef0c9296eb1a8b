"""other_tests.py - softmax, merge, contexts and threads.

SPDX-License-Identifier: BSD-3-Clause
"""
import contextlib
import gc
import io
import os
import threading
import time

import numpy as np

import attn
from support import BindingTest, inputs, normal


def softmax64(x, axis=-1, scale=1.0):
    x = scale * x.astype(np.float64)
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


class Softmax(BindingTest):
    def check_softmax(self, x, **options):
        got, lse = attn.softmax(x, **options, return_lse=True)
        self.assert_same_bits(attn.softmax(x, **options), got)
        self.assert_close(got, softmax64(x, **options), 1e-6)
        exponentials = np.exp(np.float64(options.get("scale", 1)) * x)
        self.assert_close(lse, np.log(exponentials.sum(axis=options.get("axis", -1))), 1e-5)

    def test_axes_and_scale(self):
        x = normal(np.random.default_rng(0), 3, 4, 5)
        for axis in range(-3, 3):
            self.check_softmax(x, axis=axis)
            self.check_softmax(x, axis=axis, scale=-2.5)
        self.check_softmax(x[0, 0])

    def test_views(self):
        x = normal(np.random.default_rng(1), 6, 8, 10)
        for view in (np.s_[::2], np.s_[:, ::2], np.s_[..., ::2], np.s_[::-1], np.s_[:, 1],
                     np.s_[1, 2:5, 3:7]):
            self.check_softmax(x[view])
            self.check_softmax(x[view], axis=0)
        self.check_softmax(np.broadcast_to(x[0, 0], (5, 10)))
        self.check_softmax(np.broadcast_to(x[:, :1, :1], (6, 8, 10)))

    def test_out(self):
        x = normal(np.random.default_rng(2), 4, 6)
        for axis in (0, 1):
            want, out = attn.softmax(x, axis), np.zeros_like(x)
            attn.softmax(x, axis, out=out)
            self.assert_same_bits(out, want)
            around = np.zeros((8, 12), np.float32)
            attn.softmax(x, axis, out=around[::-2, 1::2])
            self.assert_same_bits(around[::-2, 1::2], want)
            in_place = x.copy()
            attn.softmax(in_place, axis, out=in_place)
            self.assert_same_bits(in_place, want)
            shifted = np.concatenate((x, x[:1]))
            attn.softmax(shifted[:-1], axis, out=shifted[1:])
            self.assert_same_bits(shifted[1:], want)

    def test_rows_without_a_number(self):
        x = np.full((2, 3), -np.inf, np.float32)
        self.assertEqual(attn.softmax(x).tolist(), [[0] * 3] * 2)
        for shape in ((0,), (0, 4), (4, 0), (3, 0, 5)):
            self.assertEqual(attn.softmax(np.zeros(shape, np.float32)).shape, shape)

    def test_refused(self):
        x = np.zeros((2, 3), np.float32)
        for error, sentence, call in (
                (TypeError, "x: expected float32, got float64", lambda: attn.softmax(np.zeros(3))),
                (ValueError, "axis: expected one of the 2 dim.* of x, got 2", lambda: attn.softmax(x, 2)),
                (ValueError, "axis: expected one of the 0", lambda: attn.softmax(np.float32(1))),
                (ValueError, "scale: expected a finite number", lambda: attn.softmax(x, scale=np.inf)),
                (ValueError, "out: expected the shape", lambda: attn.softmax(x, out=x[0]))):
            with self.assertRaisesRegex(error, f"^{sentence}"):
                call()


class Merge(BindingTest):
    def parts(self, arrays, cuts, **rules):
        query, key, value = arrays
        edges = [0, *cuts, key.shape[-2]]
        return zip(*(attn.scaled_dot_product_attention(query, key[..., a:b, :], value[..., a:b, :],
                                                       return_lse=True, **rules)
                     for a, b in zip(edges, edges[1:])))

    def test_any_split_gives_the_whole(self):
        arrays, rng = inputs(0, len_k=50), np.random.default_rng(0)
        for array_set in (arrays, [array[:, 0] for array in arrays], [array[0, 0] for array in arrays]):
            whole = attn.scaled_dot_product_attention(*array_set, return_lse=True)
            for count in (1, 2, 7):
                cuts = sorted(int(cut) for cut in rng.integers(0, 51, count - 1))
                output, lse = attn.merge(*self.parts(array_set, cuts))
                self.assert_close(output, whole[0], 2e-6)
                self.assert_close(lse, whole[1], 2e-6)

    def test_layout_and_strides(self):
        arrays = inputs(1)
        whole = attn.merge(*self.parts(arrays, [4]))
        outputs, lses = self.parts(arrays, [4])
        swapped = attn.merge([np.ascontiguousarray(output.swapaxes(1, 2)) for output in outputs], lses,
                             layout="BSHD")
        self.assert_same_bits(swapped[0].swapaxes(1, 2), whole[0])
        self.assert_same_bits(swapped[1], whole[1])
        mixed = attn.merge([outputs[0], np.asfortranarray(outputs[1])],
                           [np.asfortranarray(lses[0]), lses[1]])
        self.assert_same_bits(mixed[0], whole[0])
        stacked = attn.merge(np.stack(outputs)[::-1], np.stack(lses)[::-1])
        self.assert_close(stacked[0], whole[0], 1e-6)

    def test_nothing_seen_and_nothing_there(self):
        output, lse = attn.merge([np.full((3, 4), np.nan, np.float32)], [np.full(3, -np.inf, np.float32)])
        self.assertEqual(output.tolist(), [[0] * 4] * 3)
        self.assertTrue(np.isneginf(lse).all())
        output, lse = attn.merge([np.zeros((3, 0), np.float32)] * 2, [np.zeros(3, np.float32)] * 2)
        self.assertEqual(output.shape, (3, 0))
        self.assert_close(lse, np.full(3, np.log(2)), 1e-6)
        output, lse = attn.merge([np.zeros((0, 4), np.float32)], [np.zeros(0, np.float32)])
        self.assertEqual((output.shape, lse.shape), ((0, 4), (0,)))

    def test_refused(self):
        part, lse = np.zeros((3, 4), np.float32), np.zeros(3, np.float32)
        for error, sentence, call in (
                (ValueError, "outputs: expected at least one array", lambda: attn.merge([], [])),
                (ValueError, "lses: expected 2 arrays", lambda: attn.merge([part, part], [lse])),
                (ValueError, r"outputs: expected one shape, got \(3, 4\) and \(2, 4\)",
                 lambda: attn.merge([part, part[:2]], [lse, lse])),
                (ValueError, r"lses: expected the shape \(3,\)", lambda: attn.merge([part], [lse[:2]])),
                (ValueError, "outputs: expected 2 to 4 dimensions", lambda: attn.merge([lse], [lse])),
                (TypeError, "lses: expected float32", lambda: attn.merge([part], [np.zeros(3)]))):
            with self.assertRaisesRegex(error, f"^{sentence}"):
                call()


class Contexts(BindingTest):
    def test_options(self):
        with attn.Context(threads=3, isa="reference", engine="builtin", wipe=True) as context:
            info = context.info()
            self.assertEqual((info["threads"], info["isa"], info["engine"]), (3, "reference", "builtin"))
            self.assertIn("reference kernels", repr(context))
        self.assertIn("closed", repr(context))
        context.close()
        with self.assertRaisesRegex(ValueError, "^context: expected an open one"):
            attn.softmax(np.zeros(3, np.float32), context=context)

    def test_refused(self):
        for error, sentence, options in (
                (ValueError, "isa: expected one of None, 'reference'", {"isa": "sse"}),
                (ValueError, "engine: expected one of None, 'blas', 'builtin', got 'mkl'", {"engine": "mkl"}),
                (ValueError, "threads: expected 0 to 1024, got -1", {"threads": -1}),
                (TypeError, "threads: expected a whole number", {"threads": "two"})):
            with self.assertRaisesRegex(error, f"^{sentence}"):
                attn.Context(**options)
        with self.assertRaisesRegex(TypeError, "^context: expected an attn.Context or None, got int"):
            attn.softmax(np.zeros(3, np.float32), context=3)

    def test_the_same_bits_for_any_number_of_threads(self):
        arrays = inputs(0, len_q=200, len_k=300)
        want = attn.scaled_dot_product_attention(*arrays, context=attn.Context(threads=1))
        for threads in (2, 5):
            self.assert_same_bits(
                attn.scaled_dot_product_attention(*arrays, context=attn.Context(threads=threads)), want)

    def test_show_config(self):
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            attn.show_config(attn.Context(threads=7))
        self.assertRegex(text.getvalue(), r"libattn +\d+\.\d+\.\d+\n(?s:.*)threads +7\n")


class Threads(BindingTest):
    def test_each_thread_has_a_context(self):
        arrays, results = inputs(0, len_q=100, len_k=100), [None] * 4
        want = attn.scaled_dot_product_attention(*arrays)

        def work(index):
            results[index] = [attn.scaled_dot_product_attention(*arrays) for _ in range(20)]

        threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        gc.collect()
        for result in results:
            for output in result:
                self.assert_same_bits(output, want)

    def test_python_goes_on_during_a_call(self):
        arrays, context = inputs(1, 1, 4, 1500, 1500, 64), attn.Context(threads=1)

        def work():
            while True:
                try:
                    return attn.scaled_dot_product_attention(*arrays, context=context)
                except RuntimeError:  # just then the other thread was in info()
                    pass

        thread, refused = threading.Thread(target=work), 0
        thread.start()
        while thread.is_alive():
            time.sleep(0.0005)
            try:
                context.info()
            except RuntimeError as error:
                self.assertRegex(str(error), "^context: expected one call at a time")
                refused += 1
        self.assertGreater(refused, 3)
        self.assertEqual(context.info()["threads"], 1)

    def test_fork(self):
        arrays = inputs(2)
        want = attn.scaled_dot_product_attention(*arrays)
        child = os.fork()
        if child == 0:
            same = False
            try:
                same = attn.scaled_dot_product_attention(*arrays).tobytes() == want.tobytes()
            finally:
                os._exit(0 if same else 1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
