#!/bin/sh
# uv-install PACKAGE...: into .venv of the folder, which is made if it is not there.
. "$(dirname "$0")/environment.sh"
if [ $# = 0 ]; then
    echo "uv-install: no package is given" >&2
    exit 2
fi
[ -d .venv ] || uv venv .venv || exit
exec uv pip install --python .venv/bin/python "$@"
