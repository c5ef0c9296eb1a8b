# test_bench.py - attn-bench runs, and its JSON has the rows and keys that it promises.
# SPDX-License-Identifier: BSD-3-Clause
import json
import os
import subprocess
import sys
import tempfile

KEYS = {"shape", "engine", "threads", "isa", "median_ms", "gflops", "fraction_of_peak", "ratio_to_unfused"}

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "rows.json")
    subprocess.run([sys.argv[1], "--quick", "--shapes", "S1", "--json", path], check=True)
    with open(path) as file:
        rows = json.load(file)
assert {row["engine"] for row in rows} == {"auto", "blas", "unfused"}, rows
for row in rows:
    assert KEYS <= row.keys(), row
    assert row["shape"] == "S1" and row["median_ms"] > 0 and row["gflops"] > 0, row
