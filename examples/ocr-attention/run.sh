# run.sh - both attention blocks of a real text recogniser, held against the model's own numbers and drawn.
# SPDX-License-Identifier: BSD-3-Clause
# usage: sh run.sh ATTN OUT    the attn command, and the folder for the results
set -eu
attn=$1
out=$2
data=$(dirname "$0")
mkdir -p "$out"

for block in block1 block2; do
  echo "== $block"
  "$attn" run --qkv "$data/${block}_qkv.npy" -o "$out/${block}_output.npy" --weights "$out/${block}_weights.npy" \
          --compare "$data/${block}_output.npy" --tolerance 2e-6 \
          --compare-weights "$data/${block}_weights.npy" --weights-tolerance 2e-6
  "$attn" map "$out/${block}_weights.npy" -o "$out/$block.svg" --image "$data/line.png" \
          --title "What each position of the line looks at, $block"
done

echo "== heat maps, for a browser:"
ls "$out"/*.svg
