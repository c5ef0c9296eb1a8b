#!/bin/sh
# rivals.sh - installs the rivals of attn-bench that a package manager brings: sh bench/rivals.sh FOLDER
# SPDX-License-Identifier: BSD-3-Clause
#
# ONNX Runtime goes into FOLDER, by npm; NumPy comes with the system (Debian: python3-numpy).
set -eu
[ $# = 1 ] || { echo "usage: sh bench/rivals.sh FOLDER" >&2; exit 2; }
command -v npm >/dev/null || { echo "no npm here (Debian: npm): ONNX Runtime stays out" >&2; exit 1; }
python3 -c 'import numpy' 2>/dev/null || echo "python3 has no NumPy (Debian: python3-numpy): it stays out" >&2

mkdir -p "$1"
folder=$(cd "$1" && pwd)
npm install --prefix "$folder" --ignore-scripts --no-audit --no-fund onnxruntime-node >&2
echo "attn-bench --engine all --onnxruntime $folder"
