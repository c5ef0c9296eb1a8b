# rust.sh - the Rust crates against the installed library: tests, examples in the documentation, form, warnings.
# SPDX-License-Identifier: BSD-3-Clause
# usage: rust.sh, with PKG_CONFIG_PATH (or ATTN_LIB_DIR) and LD_LIBRARY_PATH where the system does not look by itself;
# CARGO_TARGET_DIR is where it builds
set -eu
command -v cargo >/dev/null || { echo "skipped: no cargo"; exit 77; }
cd "$(dirname "$0")/../../bindings/rust"
export CARGO_NET_OFFLINE=true RUSTFLAGS="-D warnings" RUSTDOCFLAGS="-D warnings"

if cargo fmt --version >/dev/null 2>&1; then
  cargo fmt --all --check
fi
if cargo clippy --version >/dev/null 2>&1; then
  cargo clippy --locked --workspace --all-targets -- -D warnings
fi
cargo test --locked --workspace
cargo doc --locked --workspace --no-deps
