# consume.sh - builds and runs the examples against the package that is installed in $PREFIX.
# SPDX-License-Identifier: BSD-3-Clause
# usage: consume.sh pkgconfig|cmake|subproject|fetchcontent shared|static C|CXX, with PREFIX LIBDIR SOURCES CMAKE CMAKE_GENERATOR COMPILER set
set -eu
way=$1 link=$2 language=$3
[ -x "$COMPILER" ] || { echo "skipped: no compiler for $language"; exit 77; }
warnings="-Wall -Wextra -Wpedantic -Werror"
case $language in
  C) standard=c99 examples="textbook.c ocr.c" ;;
  CXX) standard=c++17 examples=textbook.cpp ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

with_cmake() {
  "$CMAKE" -S "$SOURCES/tests/package/consumer" -B . -DCMAKE_PREFIX_PATH="$PREFIX" -DLINK="$link" \
           -DLANGUAGE="$language" -DCMAKE_${language}_COMPILER="$COMPILER" \
           -DCMAKE_${language}_FLAGS="$warnings" -DEXAMPLES="$(echo $examples | tr ' ' ';')" "$@"
  "$CMAKE" --build .
}

with_subproject() {
  with_cmake -DSUBPROJECT="$SOURCES"
}

with_fetchcontent() {
  with_cmake -DSUBPROJECT="$SOURCES" -DFETCH=ON
}

with_pkgconfig() {
  command -v pkg-config >/dev/null || { echo "skipped: no pkg-config"; exit 77; }
  export PKG_CONFIG_PATH="$LIBDIR/pkgconfig"
  case $link in
    shared) libraries=$(pkg-config --libs libattn) ;;
    static) libraries=$(pkg-config --static --libs libattn | sed 's/-lattn/-l:libattn.a/') ;;
  esac
  for example in $examples; do
    "$COMPILER" -std=$standard $warnings "$SOURCES/examples/$example" $(pkg-config --cflags libattn) $libraries -lm \
                -o "${example%.*}"
  done
}

with_"$way"
if [ "$link" = shared ]; then
  export LD_LIBRARY_PATH="$LIBDIR${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
elif ldd textbook | grep libattn; then
  echo "the static program needs the shared library"
  exit 1
fi
./textbook
data=$SOURCES/examples/ocr-attention
[ ! -x ocr ] || ./ocr "$data/block1_qkv.npy" "$data/block1_output.npy"
