#!/usr/bin/env bash
# Everything that must hold before a change goes in, cheapest first; stops at the first failure.
# The last line is the test runner's own summary.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '== %s\n' "$*" >&2; }

step "setup"
dev/setup.sh test
PATH="$PWD/.venv/bin:$PATH"

step "format"
cargo fmt --all -- --check

step "tidy"
cargo xtask tidy

step "spelling"
typos

step "dependencies: licences, bans, sources"
cargo-deny --workspace check --hide-inclusion-graph licenses bans sources

step "clippy"
cargo clippy --workspace --all-targets --quiet -- --deny warnings

step "GPU kernels: every one for every architecture, without a GPU"
cargo xtask kernels >/dev/null

step "tests"
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --workspace
else
    cargo test --workspace --quiet
fi
