#!/bin/sh
# spack-install SPEC...: installs, then gives a shell where somebody is at a terminal.
. "$(dirname "$0")/environment.sh"
spack install "$@" || exit
if [ -t 0 ]; then
    shell
fi
