# mypy.sh - the types of the Python package, and of its quick start, are right by mypy --strict.
# SPDX-License-Identifier: BSD-3-Clause
# usage: mypy.sh, with PYTHONPATH set where the package is not installed; PYTHON is an interpreter with NumPy
set -eu
command -v mypy >/dev/null || { echo "skipped: no mypy"; exit 77; }
cd "$(dirname "$0")/../.."
export MYPYPATH="${PYTHONPATH-}"
mypy --strict --cache-dir=/dev/null --python-executable="${PYTHON:-python3}" --package attn
mypy --strict --cache-dir=/dev/null --python-executable="${PYTHON:-python3}" examples/quickstart/quickstart.py
