#!/bin/sh
# default [COMMAND...]: the command, or a shell.
. "$(dirname "$0")/environment.sh"
if [ $# -gt 0 ]; then
    become "$@"
fi
alias spack-build="$(dirname "$0")/spack-build.sh"
shell
