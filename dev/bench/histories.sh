#!/usr/bin/env bash
# Three real git histories (C, Python, Go; 1,712 commits) and one repository that holds them all, for the bench of commit mode;
# safe to run again, and quick when all is there.
#
#   dev/bench/histories.sh FOLDER    makes FOLDER/{rumprun-xen,spinnaker,go-git,all}.git
#
# The histories come as packs in a Go module of test fixtures, through this machine's own settings of the go tool. Tips are
# commits that are no other's parent; HEAD is a merge of a pack's tips with fixed names and dates, so that its id is the same
# everywhere. A repository is made beside its place and then renamed, so that it is there whole or not at all.
# Exit codes: 0 all there, 1 the module or a pack is missing, 2 no folder given, 3 the machine lacks a tool.
set -euo pipefail

module=github.com/go-git/go-git-fixtures/v4@v4.2.1
# name, pack, commits in it
packs="rumprun-xen:7861f2632868833a35fe5e4ab94f99638ec5129b:556
spinnaker:f2e0a8889a746f7600e07d2246a2e29a72f696be:908
go-git:3559b3b47e695b33b0913237a4df3357e739831c:248"

say() { printf 'histories: %s\n' "$*" >&2; }
lack() { say "$*"; exit "${code:-1}"; }

[ $# -eq 1 ] || { say "one argument: the folder that the repositories are made in"; exit 2; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)

present=0
for name in rumprun-xen spinnaker go-git all; do
    [ -d "$folder/$name.git" ] && present=$((present + 1))
done
[ "$present" -lt 4 ] || exit 0

for tool in git go; do
    command -v "$tool" >/dev/null || code=3 lack "no \`$tool\` here; put the packs' repositories into $folder by hand"
done

# Neither this machine's nor this user's settings for git decide what is made.
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
export GIT_AUTHOR_NAME=bench GIT_AUTHOR_EMAIL=bench@localhost GIT_AUTHOR_DATE='2020-01-01T00:00:00Z'
export GIT_COMMITTER_NAME=bench GIT_COMMITTER_EMAIL=bench@localhost GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'

say "fetching $module"
fetched=$(cd "$folder" && GO111MODULE=on GOFLAGS="-mod=mod -modcacherw" GOPATH="$folder/.go" go mod download -json "$module") \
    || lack "go mod download failed: $fetched"
source=$(sed -n 's/^[[:space:]]*"Dir": "\(.*\)",*$/\1/p' <<<"$fetched")/data
[ -d "$source" ] || lack "the module has no folder $source"

commits_of() { git -C "$1" cat-file --batch-all-objects --batch-check='%(objecttype) %(objectname)' | sed -n 's/^commit //p'; }

# Commits that are no other's parent, sorted.
tips_of() {
    commits_of "$1" | git -C "$1" rev-list --no-walk --parents --stdin \
        | awk '{ own[$1] = 1; for (i = 2; i <= NF; i++) parent[$i] = 1 } END { for (id in own) if (!(id in parent)) print id }' \
        | sort
}

# make NAME COMMITS PACK...: one repository of the packs, whose HEAD is a merge of all tips.
make() {
    local name=$1 expected=$2 work="$folder/.making-$1" pack count
    shift 2
    [ ! -d "$folder/$name.git" ] || return 0
    rm -rf "$work"
    git init -q --bare -b main "$work"
    for pack in "$@"; do
        git -C "$work" index-pack --stdin <"$source/pack-$pack.pack" >/dev/null
    done
    local parents=() trees="" newest="" tip
    for tip in $(tips_of "$work"); do
        parents+=(-p "$tip")
        trees+="$(printf '040000 tree %s\t%s' "$(git -C "$work" rev-parse "$tip^{tree}")" "$tip")"$'\n'
    done
    # The files of the tip with the longest history; of several packs all, each in a folder of its own.
    newest=$(for tip in $(tips_of "$work"); do printf '%s %s\n' "$(git -C "$work" rev-list --count "$tip")" "$tip"; done \
        | sort -n | tail -1 | cut -d' ' -f2)
    local tree
    if [ $# -gt 1 ]; then tree=$(printf '%s' "$trees" | git -C "$work" mktree); else tree=$(git -C "$work" rev-parse "$newest^{tree}"); fi
    git -C "$work" update-ref refs/heads/main "$(git -C "$work" commit-tree "$tree" "${parents[@]}" -m "all tips")"
    count=$(git -C "$work" rev-list --count main)
    [ "$count" -eq $((expected + 1)) ] || lack "$name has $count commits where $expected and a merge were expected"
    mv "$work" "$folder/$name.git"
    say "$name: $expected commits"
}

all=() sum=0
while IFS=: read -r name pack commits; do
    make "$name" "$commits" "$pack"
    all+=("$pack") sum=$((sum + commits))
done <<<"$packs"
make all "$sum" "${all[@]}"
