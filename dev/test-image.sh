#!/usr/bin/env bash
# Makes the image that tests of containers run in, once: Debian with Python and a C compiler. No registry of images is needed.
set -euo pipefail
cd "$(dirname "$0")/.."

image=localhost/wootz-test:1
export CONTAINERS_CONF=$PWD/dev/containers.conf
if podman image exists "$image"; then
    exit 0
fi
echo "test image: a Debian with Python and a C compiler, about two minutes"
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
debootstrap --variant=minbase \
    --include=ca-certificates,python3,python3-venv,python3-pip,python3-dev,gcc,libc6-dev bookworm "$root" >"$root.log" 2>&1 ||
    { tail -20 "$root.log" >&2; exit 1; }
rm -f "$root.log"
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/doc "$root"/usr/share/man
tar -C "$root" -c . | podman import - "$image" >/dev/null
echo "test image: $image"
