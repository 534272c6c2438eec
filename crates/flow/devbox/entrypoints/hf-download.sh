#!/bin/sh
# hf-download dataset ID [CONFIG] [SPLIT], hf-download model ID: into the cache that $HF_HOME names.
. "$(dirname "$0")/environment.sh"
usage() {
    echo "usage: hf-download dataset ID [CONFIG] [SPLIT] | hf-download model ID" >&2
    exit 1
}
[ $# -ge 2 ] || usage
kind=$1 id=$2
case "$kind" in
model | dataset) ;;
*) usage ;;
esac
# What loads a split is installed once, in an environment of the cache's own.
tools=${HF_HOME:-$HOME/.cache/huggingface}/tools
need() {
    if ! "$tools/bin/python" -c "import $1" 2>/dev/null; then
        if command -v uv >/dev/null; then
            uv venv --quiet --allow-existing "$tools" && uv pip install --quiet --python "$tools/bin/python" "$1"
        else
            python3 -m venv "$tools" && "$tools/bin/pip" install --quiet "$1"
        fi || exit 1
    fi
}
if [ "$kind" = model ]; then
    if ! command -v hf >/dev/null; then
        need huggingface_hub
        PATH="$tools/bin:$PATH"
    fi
    exec hf download "$id"
fi
need datasets
exec "$tools/bin/python" -c '
import sys
from datasets import load_dataset
name, config, split = sys.argv[1:]
rows = load_dataset(name, None if config == "default" else config, split=split)
print(len(rows), "rows")
' "$id" "${3:-default}" "${4:-train[:100]}"
