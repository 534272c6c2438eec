#!/bin/sh
# spack-build [FOLDER [TEMPLATE [JOBS]]]: an environment of Spack from its lock, or else from its template.
# With spack.lock in the folder exactly what it says is installed; without it the template becomes spack.yaml and is
# concretized, and the lock that this leaves is what to keep beside the template.
set -eu
environment=$(dirname "$0")/environment.sh
[ ! -r "$environment" ] || . "$environment"
folder=${1:-.} template=${2:-spack_src.yaml} jobs=${3:-}
if ! command -v spack >/dev/null; then
    echo "spack-build: spack is not installed" >&2
    exit 127
fi
cd "$folder"
if [ -f spack.lock ]; then
    [ -f spack.yaml ] || cp "$template" spack.yaml
else
    cp "$template" spack.yaml.new
    mv spack.yaml.new spack.yaml
    spack --env . concretize --force
fi
spack --env . install ${jobs:+--jobs "$jobs"}
spack --env . env view regenerate
spack --env . find
