#!/usr/bin/env bash
# The C and C++ projects that the corpus bench is measured on, as Debian source packages from the apt sources that this
# machine has; safe to run again, and quick when all is there.
#
#   dev/bench/corpus_sources.sh FOLDER    unpacks FOLDER/{fmtlib,abseil,leveldb,re2,protobuf,redis,rocksdb,nlohmann-json}
#   dev/bench/corpus_sources.sh FOLDER more    others, of other styles: most of their files compile without being configured
#
# Neither the machine's apt lists nor its settings are touched: a private set, which says deb-src where the machine's says deb,
# lies in FOLDER/.apt. A package is unpacked beside its place and then renamed, so that a project is there whole or not at all.
# Exit codes: 0 all there, 1 some are missing (each is named), 2 no folder given, 3 the machine lacks a tool.
set -euo pipefail

# name of the folder, name of the source package
projects="fmtlib:fmtlib abseil:abseil leveldb:leveldb re2:re2 protobuf:protobuf redis:redis rocksdb:rocksdb nlohmann-json:nlohmann-json3"
more="bzip2:bzip2 googletest:googletest jsoncpp:libjsoncpp libuv:libuv1 lz4:lz4 mosquitto:mosquitto pugixml:pugixml"
more="$more spdlog:spdlog tinyxml2:tinyxml2 xz:xz-utils yaml-cpp:yaml-cpp zlib:zlib"

# Definitions that a project's own build always makes, in the form of its compile_flags.txt.
flags_of() {
    case "$1" in
        leveldb) printf -- '-D%s\n' LEVELDB_PLATFORM_POSIX=1 HAVE_FDATASYNC=1 HAVE_O_CLOEXEC=1 ;;
        rocksdb) printf -- '-D%s\n' ROCKSDB_PLATFORM_POSIX ROCKSDB_LIB_IO_POSIX OS_LINUX ;;
    esac
}

say() { printf 'corpus sources: %s\n' "$*" >&2; }

case "$#:${2-}" in
    1:) ;;
    2:more) projects=$more ;;
    *) say "arguments: the folder that the projects are unpacked into, then \`more\` for the others"; exit 2 ;;
esac
mkdir -p "$1"
folder=$(cd "$1" && pwd)

missing=()
for project in $projects; do
    [ -f "$folder/${project%%:*}/.unpacked" ] || missing+=("$project")
done
[ ${#missing[@]} -gt 0 ] || exit 0

for tool in apt-get apt-config dpkg-source patch tar; do
    command -v "$tool" >/dev/null || {
        say "no \`$tool\` here, which Debian source packages are fetched with; put the projects into $folder by hand:" \
            "${missing[*]%%:*}, each with a file .unpacked in it"
        exit 3
    }
done

apt="$folder/.apt"
mkdir -p "$apt/parts" "$apt/lists/partial" "$apt/cache/archives/partial"
rm -f "$apt"/parts/*
eval "$(apt-config shell list Dir::Etc::sourcelist/f parts Dir::Etc::sourceparts/d)"
[ ! -f "$list" ] || sed -E 's/^[[:space:]]*deb[[:space:]]/deb-src /' "$list" >"$apt/parts/machine.list"
for file in "$parts"/*.list "$parts"/*.sources; do
    [ -f "$file" ] || continue
    sed -E 's/^[[:space:]]*deb[[:space:]]/deb-src /; s/^Types:.*/Types: deb-src/' "$file" >"$apt/parts/$(basename "$file")"
done
settings=(-o "Dir::Etc::sourcelist=/dev/null" -o "Dir::Etc::sourceparts=$apt/parts" -o "Dir::State::lists=$apt/lists"
    -o "Dir::Cache=$apt/cache" -o "APT::Sandbox::User=" -o "Debug::NoLocking=1")

# One of several apt sources may have no source packages; only what is missing in the end counts.
apt-get "${settings[@]}" -qq update >&2 || say "apt-get update had failures; going on with what it has"

absent=()
for project in "${missing[@]}"; do
    name=${project%%:*} package=${project##*:}
    work="$folder/.unpacking-$name"
    rm -rf "$work" && mkdir -p "$work"
    say "fetching $package"
    if (cd "$work" && apt-get "${settings[@]}" -qq source --only-source --download-only "$package" >&2 \
            && dpkg-source --no-check --extract ./*.dsc tree >/dev/null) && [ -d "$work/tree" ]; then
        flags_of "$name" >"$work/flags"
        [ ! -s "$work/flags" ] || cp "$work/flags" "$work/tree/compile_flags.txt"
        (cd "$work" && basename -s .dsc ./*.dsc) >"$work/tree/.unpacked"
        rm -rf "${folder:?}/$name"
        mv "$work/tree" "$folder/$name"
    else
        absent+=("$name (source package $package)")
    fi
    rm -rf "$work"
done
[ ${#absent[@]} -eq 0 ] || { say "missing: $(IFS=,; echo "${absent[*]}"); the apt sources of this machine do not give them"; exit 1; }
