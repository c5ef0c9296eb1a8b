# quickstart.sh - builds and runs the quick start of a language against the installed library; it prints what it should.
# SPDX-License-Identifier: BSD-3-Clause
# usage: quickstart.sh c|cpp|python|rust|fortran|node, with PKG_CONFIG_PATH, LD_LIBRARY_PATH and PYTHONPATH set where
# the system does not look by itself; PYTHON is an interpreter with NumPy
set -eu
language=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root/examples/quickstart"

need() {
  for tool; do command -v "$tool" >/dev/null || { echo "skipped: no $tool"; exit 77; }; done
}
flags() { pkg-config "$@" libattn; }

case $language in
  c)
    need cc pkg-config
    cc -std=c99 -Wall -Wextra -Werror quickstart.c $(flags --cflags --libs) -o "$work/program"
    ;;
  cpp)
    need c++ pkg-config
    c++ -std=c++17 -Wall -Wextra -Werror quickstart.cpp $(flags --cflags --libs) -o "$work/program"
    ;;
  fortran)
    need gfortran pkg-config
    gfortran -Wall -Wextra -Werror -J "$work" fortran/attn.f90 fortran/quickstart.f90 $(flags --libs) -o "$work/program"
    ;;
  rust)
    need cargo
    export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$work/target} CARGO_NET_OFFLINE=true
    cargo build --quiet --locked --manifest-path rust/Cargo.toml
    cp "$CARGO_TARGET_DIR/debug/quickstart" "$work/program"
    ;;
  python)
    "${PYTHON:-python3}" -c 'import numpy' || { echo "skipped: no NumPy"; exit 77; }
    printf '#!/bin/sh\nexec "%s" "%s"\n' "${PYTHON:-python3}" "$PWD/quickstart.py" >"$work/program"
    ;;
  node)
    need node npm
    cp node/* "$work"
    cd "$work"
    npm ci --ignore-scripts --no-audit --no-fund >log 2>&1 || { cat log; exit 1; }
    printf '#!/bin/sh\nexec node "%s"\n' "$work/quickstart.mjs" >program
    cd "$root/examples/quickstart"
    ;;
  *) echo "usage: quickstart.sh c|cpp|python|rust|fortran|node" >&2; exit 2 ;;
esac
chmod +x "$work/program"
"$work/program" >"$work/printed"
diff expected.txt "$work/printed"
