"""runner_tests.py - the runner of ONNX's cases: what it prints, and that it can tell right from wrong.

SPDX-License-Identifier: BSD-3-Clause
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

import attn
from support import BindingTest, inputs

RUNNER = pathlib.Path(__file__).resolve().parents[1] / "onnx_conformance.py"


class Runner(BindingTest):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder, self.cases = pathlib.Path(folder.name), []

    def add_case(self, name, given, expected, **attributes):
        case = {"name": name, "opset": 25, "attributes": attributes}
        for group, arrays in (("inputs", given), ("outputs", expected)):
            case[group] = {tensor: f"{name}.{tensor}.npy" for tensor in arrays}
            for tensor, array in arrays.items():
                np.save(self.folder / case[group][tensor], array)
        self.cases.append(case)
        (self.folder / "cases.json").write_text(json.dumps(self.cases))

    def run_cases(self):
        result = subprocess.run([sys.executable, RUNNER, self.folder], stdout=subprocess.PIPE, text=True)
        return result.returncode, result.stdout.splitlines()

    def test_right_and_wrong(self):
        query, key, value = inputs(0)
        given = {"Q": query, "K": key, "V": value}
        output = attn.scaled_dot_product_attention(query, key, value)
        self.add_case("right", given, {"Y": output})
        self.assertEqual(self.run_cases(), (0, ["1 passed, 0 failed"]))
        self.add_case("scaled", given, {"Y": output}, scale=0.5)
        self.add_case("shape", given, {"Y": output[:1]})
        self.add_case("refused", given, {"Y": output}, softcap=-1.0)
        output = output.copy()
        output[1, 2, 3, 4] *= 1.01
        self.add_case("one_number", given, {"Y": output})
        status, lines = self.run_cases()
        self.assertEqual((status, lines[-1]), (1, "1 passed, 4 failed"))
        self.assertRegex(lines[0], "^FAILED scaled: Y: [0-9]+ of 432 numbers differ")
        self.assertEqual(lines[1], "FAILED shape: Y: expected the shape (1, 3, 9, 8), got (2, 3, 9, 8)")
        self.assertRegex(lines[2], "^FAILED refused: ValueError: softcap: expected")
        self.assertIn("FAILED one_number: Y: 1 of 432 numbers differ, the first at (1, 2, 3, 4)", lines[3])

    def test_cache_heads_and_half_precision(self):
        query, key, value = inputs(1, heads=4, heads_kv=2)
        output, weights = attn.scaled_dot_product_attention(query, key, value, is_causal=True, offset=6,
                                                            enable_gqa=True, return_weights=True)
        given = {"Q": query.swapaxes(1, 2).reshape(2, 9, 32),
                 "K": key[:, :, 6:].swapaxes(1, 2).reshape(2, 5, 16),
                 "V": value[:, :, 6:].swapaxes(1, 2).reshape(2, 5, 16),
                 "past_key": key[:, :, :6], "past_value": value[:, :, :6]}
        expected = {"Y": output.swapaxes(1, 2).reshape(2, 9, 32), "present_key": key,
                    "present_value": value, "qk_matmul_output": weights}
        attributes = {"q_num_heads": 4, "kv_num_heads": 2, "is_causal": 1, "qk_matmul_output_mode": 3}
        self.add_case("cache", given, expected, **attributes)
        half = [{name: array.astype(np.float16) for name, array in arrays.items()}
                for arrays in (given, expected)]
        self.add_case("half", *half, **attributes)
        self.assertEqual(self.run_cases(), (0, ["2 passed, 0 failed"]))

    def test_no_cases(self):
        status, lines = self.run_cases()
        self.assertEqual((status, lines), (77, [f"skipped: no cases.json in {self.folder}"]))
