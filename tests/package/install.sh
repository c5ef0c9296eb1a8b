# install.sh - installs and uninstalls, which leaves no file; then installs again, and moves all that to where tests use it.
# SPDX-License-Identifier: BSD-3-Clause
# usage: install.sh BUILD PREFIX, with CMAKE set
set -eu
build=$1 prefix=$2
rm -rf "$prefix" "$prefix.gone" "$prefix.first"

"$CMAKE" --install "$build" --prefix "$prefix.gone" >/dev/null
[ -e "$prefix.gone/include/attn/attn.h" ]
"$CMAKE" -P "$build/uninstall.cmake" 2>/dev/null
left=$(find "$prefix.gone" ! -type d; find "$prefix.gone" -name '*attn')
[ -z "$left" ] || { echo "uninstall left: $left"; exit 1; }

"$CMAKE" --install "$build" --prefix "$prefix.first" >/dev/null
mv "$prefix.first" "$prefix"
if grep -rlF "$prefix.first" "$prefix"; then
  echo "these know where they were installed"
  exit 1
fi
