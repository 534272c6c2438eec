#!/usr/bin/env bash
# Everything the repository needs beside a Rust toolchain; safe to run again, and quick when there is nothing to do.
#
#   dev/setup.sh         a C compiler, and .venv with the Python packages that the tests use
#   dev/setup.sh test    the same, cargo-deny for the licence check, a browser, two web servers, a Temporal server (needs Go), podman
#                        with an image to test with (0.4 GB), Slurm, and the CUDA libraries that need no GPU (1.3 GB)
#   dev/setup.sh corpus  the same as the first, and the parser that the corpus bench checks the order of documents with
#   dev/setup.sh bench   the same as the first, and torch (5 GB), the peer of the benchmarks and the parity fixtures
#
# Exit codes: 0 ready, 2 unknown argument, 3 the machine lacks something that this script may not install.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }
lack() { say "$*"; exit 3; }

# Debian names of what is missing, installed where that is allowed.
need_system_tools() {
    local missing=()
    command -v cc >/dev/null || missing+=(gcc libc6-dev)
    command -v c++ >/dev/null || missing+=(g++)
    command -v make >/dev/null || missing+=(make)
    command -v git >/dev/null || missing+=(git)
    python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3 python3-venv)
    # Containers, what makes an image for them without a registry, and a registry to push to.
    [ "$1" = test ] && ! command -v podman >/dev/null && missing+=(podman runc netavark)
    [ "$1" = test ] && ! command -v catatonit >/dev/null && missing+=(catatonit)
    [ "$1" = test ] && ! command -v debootstrap >/dev/null && missing+=(debootstrap)
    [ "$1" = test ] && ! command -v docker-registry >/dev/null && missing+=(docker-registry)
    [ "$1" = test ] && ! command -v skopeo >/dev/null && missing+=(skopeo)
    # A cluster of two nodes on this machine.
    [ "$1" = test ] && ! command -v slurmctld >/dev/null && [ ! -x /usr/sbin/slurmctld ] && missing+=(slurm-wlm munge)
    # The browser in which pages are tested, and letters for it.
    [ "$1" = test ] && [ ! -x /usr/bin/chromium ] && missing+=(chromium fonts-dejavu-core)
    # Static hosts for the package index.
    [ "$1" = test ] && [ ! -x /usr/sbin/nginx ] && missing+=(nginx-light)
    [ "$1" = test ] && [ ! -x /usr/sbin/apache2 ] && missing+=(apache2-bin)
    [ ${#missing[@]} -eq 0 ] && return
    command -v apt-get >/dev/null || lack "please install: ${missing[*]}"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || lack "please run as root: apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    say "installing ${missing[*]}"
    "${as_root[@]}" apt-get update -qq >&2
    # Tests start what they need themselves: no service is started with its package.
    local policy=/usr/sbin/policy-rc.d quiet=false status=0
    if [ ! -e "$policy" ]; then
        quiet=true
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" install -m 755 /dev/stdin "$policy"
    fi
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >&2 || status=$?
    [ "$quiet" = false ] || "${as_root[@]}" rm "$policy"
    return "$status"
}

need_rust() {
    command -v cargo >/dev/null || lack "no cargo; install a Rust toolchain (rustup) of at least the version in Cargo.toml"
    cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 && return
    command -v rustup >/dev/null || lack "cargo fmt or cargo clippy is missing, and so is rustup, which would add them"
    rustup component add rustfmt clippy >&2
}

# Installs into .venv unless a stamp says that this very list is there.
need_python_packages() {
    local name=$1 list=$2
    local stamp=.venv/.installed-$name
    [ -x .venv/bin/python ] || python3 -m venv .venv
    cmp -s "$list" "$stamp" && return
    say "installing the Python packages of $list into .venv"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement "$list" >&2
    cp "$list" "$stamp"
}

# Built once from source, unoptimised: it runs for a second. It outlives the target folder.
need_cargo_deny() {
    [ -x .venv/bin/cargo-deny ] && return
    command -v cargo-deny >/dev/null && return
    say "building cargo-deny, once (some minutes)"
    CARGO_TARGET_DIR=target/cargo-deny CARGO_PROFILE_DEV_DEBUG=0 \
        cargo install --quiet --locked --debug --root .venv --no-track cargo-deny@0.20.2 >&2
    rm -rf target/cargo-deny
}

# The server that the tests of the Temporal engine start, built once from source. Later versions cannot be installed like this.
need_temporal() {
    [ -x .tools/temporal ] && return
    command -v temporal >/dev/null && return
    command -v go >/dev/null || lack "no go, which builds the Temporal server for the tests; install Go 1.25 or later"
    say "building the Temporal server, once (some minutes)"
    GOTOOLCHAIN=local GOBIN="$PWD/.tools" go install github.com/temporalio/cli/cmd/temporal@v1.5.1 >&2
}

need_system_tools "${1:-}"
need_rust
need_python_packages base dev/requirements.txt
case "${1:-}" in
    "") ;;
    test) need_cargo_deny; need_temporal; need_python_packages cuda dev/requirements-cuda.txt; dev/test-image.sh >&2 ;;
    corpus) need_python_packages corpus dev/requirements-corpus.txt ;;
    bench) need_python_packages bench dev/requirements-bench.txt ;;
    *) say "unknown argument \`$1\`; it is \`test\`, \`corpus\`, \`bench\`, or nothing"; exit 2 ;;
esac
