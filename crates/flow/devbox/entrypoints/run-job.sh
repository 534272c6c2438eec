#!/bin/sh
# run-job COMMAND...: the command, with the environment of the folder.
. "$(dirname "$0")/environment.sh"
if [ $# = 0 ]; then
    echo "run-job: no command is given" >&2
    exit 2
fi
activate
become "$@"
