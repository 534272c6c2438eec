"""The claims of the corpus, measured: do documents compile, are they in order, how fast and in how much memory are they made.

    cargo xtask bench corpus                     builds what is needed and runs this
    python dev/bench/corpus.py --wootz BINARY --plain-parse EXAMPLE [--only compiles,order,...]

Prints one table `claim | figure | aim | met`, writes all figures as JSON, and exits 1 when an aim is missed. A claim that cannot be
measured (a flag that the binary does not know, a tool that is not there) is missed, with the reason as its figure.

The sources are the projects of dev/bench/corpus_sources.sh. Speed and memory are those of a whole process, from os.wait4; for
speed our build and the parser alone run in turn on the same files, so that a slow minute of the machine hits both.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import corpus_compiles
import corpus_histories
import corpus_trust

HERE = Path(__file__).resolve().parent
SOURCES = {".c", ".cc", ".cpp", ".cxx", ".c++"}
HEADERS = {".h", ".hh", ".hpp", ".hxx", ".h++", ".inl"}
FLAGS = ["--languages", "c,cpp", "--cross-depth", "3", "--max-tokens", "16384"]
MAX_TOKENS = 16_384
MB = 1e6


class Failed(Exception):
    """A claim that could not be measured, and why."""


def run(command, **options):
    """Runs a command; gives its output, seconds, and peak resident bytes with those of its children."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        process = subprocess.Popen([str(word) for word in command], stdout=out, stderr=err, **options)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        return process.returncode, out.read(), err.read().decode("utf-8", "replace"), seconds, usage.ru_maxrss * 1024


def need(command, codes=(0,), **options):
    code, out, err, seconds, peak = run(command, **options)
    if code not in codes:
        lines = [line for line in err.strip().splitlines() if line.strip()] or ["no message"]
        told = next((line for line in lines if line.startswith("error")), lines[-1])
        raise Failed(f"{Path(str(command[0])).name} ended with {code}: {told}")
    return out, seconds, peak


class Bench:
    def __init__(self, arguments):
        self.arguments = arguments
        self.out = arguments.out
        self.sources = arguments.sources
        self.rows = []
        self.details = {}
        self.built = {}

    def claim(self, name, figure, aim, met):
        self.rows.append({"claim": name, "figure": figure, "aim": aim, "met": bool(met)})
        say(f"{name}: {figure}")

    # What is measured on.

    def files(self, root=None):
        """Every C and C++ file below the sources, and the bytes of sources and headers."""
        found, sizes = [], [0, 0]
        for folder, folders, names in os.walk(root or self.sources):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                ending = os.path.splitext(name)[1]
                path = os.path.join(folder, name)
                if ending in SOURCES | HEADERS and not name.startswith(".") and not os.path.islink(path):
                    found.append(path)
                    sizes[ending in HEADERS] += os.path.getsize(path)
        return found, sizes

    def build(self, name, threads=2, extra=(), sources=None):
        """Builds a corpus into a fresh folder; gives the folder, seconds and peak bytes."""
        folder = self.out / name
        shutil.rmtree(folder, ignore_errors=True)
        command = [self.arguments.wootz, "corpus", "build", sources or self.sources, "--out", folder, "--threads", threads,
                   "--quiet", *FLAGS, *extra]
        _, seconds, peak = need(command)
        return folder, seconds, peak

    def corpus(self):
        if "corpus" not in self.built:
            self.built["corpus"] = self.build("corpus")[0]
        return self.built["corpus"]

    def whole_files(self, folder):
        """Project and path, and text, of every document that is a file."""
        found = []
        for one in map(json.loads, self.documents(folder)):
            if one["kind"] == "file":
                found.append(((one["repo"], one["path"]), one["text"]))
        return found

    def empty(self, folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def need(self, *arguments, **options):
        return need(*arguments, **options)

    def percent(self, share):
        return percent(share)

    def say(self, text):
        say(text)

    Failed = Failed

    def documents(self, folder):
        manifest = json.loads((folder / "manifest.json").read_text())
        with open(folder / manifest["documents_file"], "rb") as lines:
            yield from lines

    # The claims.

    def compiles(self):
        corpus_compiles.compiles(self)

    def dedup(self):
        corpus_trust.dedup(self)

    def secrets(self):
        corpus_trust.secrets(self)

    def commits(self):
        corpus_histories.commits(self)

    def order(self):
        script = [sys.executable, HERE / "corpus_order.py"]
        need([*script, "--check"])
        out, _, _ = need([*script, self.corpus(), "--sources", self.sources, "--json"], codes=(0, 1))
        report = json.loads(out)
        self.details["order"] = report
        figure = f"{1000 * report['share']:.2f} of 1,000 ({report['violating']} of {report['documents']})"
        self.claim("documents with a name used too early", figure, "<= 1 of 1,000", report["share"] <= 0.001)
        moved = json.loads(need([*script, self.corpus(), "--sources", self.sources, "--moved"])[0])
        self.details["moved"] = moved
        found = moved["found"] / max(moved["moved"], 1)
        figure = f"{percent(found)} ({moved['found']} of {moved['moved']})"
        self.claim("  functions moved behind their use that it finds", figure, ">= 80.0%", found >= 0.8)

    def tokens(self):
        longest, above, without, count = 0, 0, 0, 0
        for line in self.documents(self.corpus()):
            tokens = json.loads(line).get("tokens")
            count += 1
            if tokens is None:
                without += 1
            else:
                longest, above = max(longest, tokens), above + (tokens > MAX_TOKENS)
        figure = f"{above} (longest {longest:,} of {count:,} documents" + (f", {without:,} without a count)" if without else ")")
        self.claim(f"documents above {MAX_TOKENS:,} tokens", figure, "0", above == 0 and without == 0)

    def determinism(self):
        digests = {}
        for index in range(self.arguments.runs):
            folder, _, _ = self.build("again", threads=1 + index % 2)
            digests.setdefault(digest(folder), []).append(index)
        shutil.rmtree(self.out / "again", ignore_errors=True)
        self.claim(f"different results of {self.arguments.runs} runs, 1 and 2 threads", str(len(digests)), "1", len(digests) == 1)

    def shards(self):
        parts = [self.build(f"shard-{index}", extra=["--shard", f"{index}/2"])[0] for index in range(2)]
        merged = self.out / "merged"
        shutil.rmtree(merged, ignore_errors=True)
        need([self.arguments.wootz, "corpus", "merge", *parts, "--out", merged, "--quiet"])
        same = digest(merged) == digest(self.corpus())
        self.claim("shards 0/2 and 1/2, merged, beside one run", "the same bytes" if same else "other bytes", "the same bytes", same)
        for folder in [*parts, merged]:
            shutil.rmtree(folder, ignore_errors=True)

    def speed(self):
        files, (source_bytes, header_bytes) = self.files()
        total = source_bytes + header_bytes
        names = "".join(f"{path}\n" for path in files).encode()
        listing = self.out / "files"
        listing.write_bytes(names)
        ours, plain, peaks = [], [], []
        for number in range(self.arguments.rounds):
            _, seconds, peak = self.build("speed")
            ours.append(seconds)
            peaks.append(peak)
            with open(listing, "rb") as opened:
                out, _, _ = need([self.arguments.plain_parse, "2"], stdin=opened)
            report = json.loads(out.splitlines()[-1])
            plain.append(report["seconds"] * total / report["bytes"])
            say(f"round {number + 1}/{self.arguments.rounds}: ours {ours[-1]:.2f} s, parser alone {plain[-1]:.2f} s")
        ratios = [theirs / own for own, theirs in zip(ours, plain)]
        rates = [source_bytes / seconds / MB for seconds in ours]
        self.details["speed"] = {
            "source_bytes": source_bytes, "header_bytes": header_bytes, "files": len(files), "seconds": ours,
            "plain_seconds": plain, "peak_bytes": peaks, "rounds": self.arguments.rounds,
        }
        least, greatest = min(ratios), max(ratios)
        ratio = statistics.median(ratios)
        self.claim("rate beside the parser alone, 2 threads", f"{ratio:.2f} ({least:.2f} to {greatest:.2f})", ">= 0.50", ratio >= 0.5)
        rate = statistics.median(rates)
        self.claim("source MB/s, 2 threads", f"{rate:.1f} ({min(rates):.1f} to {max(rates):.1f})", ">= 7.0", rate >= 7.0)
        self.claim("  of MB of sources and headers", f"{source_bytes / MB:.1f} and {header_bytes / MB:.1f}", "-", True)
        peak = max(peaks) / MB
        self.claim("peak memory", f"{peak:.0f} MB", "<= 250 MB", peak <= 250)

    def memory(self):
        grown = self.out / "grown"
        shutil.rmtree(grown, ignore_errors=True)
        grow(self.sources, grown, self.arguments.copies)
        _, seconds, peak = self.build("corpus-grown", sources=grown)
        _, sizes = self.files(grown)
        shutil.rmtree(self.out / "corpus-grown", ignore_errors=True)
        shutil.rmtree(grown, ignore_errors=True)
        self.details["memory"] = {"bytes": sum(sizes), "seconds": seconds, "peak_bytes": peak}
        name = f"peak memory on {self.arguments.copies} times as much ({sum(sizes) / MB:.0f} MB)"
        self.claim(name, f"{peak / MB:.0f} MB", "<= 600 MB", peak / MB <= 600)


# What counts memory comes before what takes much itself: a child's peak includes what it was forked with.
CLAIMS = ["compiles", "order", "tokens", "determinism", "shards", "speed", "memory", "commits", "secrets", "dedup"]


def digest(folder):
    """SHA-256 over the names and bytes of a folder."""
    hasher = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        hasher.update(str(path.relative_to(folder)).encode() + b"\0")
        with open(path, "rb") as opened:
            while block := opened.read(1 << 20):
                hasher.update(block)
    return hasher.hexdigest()


WORD = re.compile(rb"[A-Za-z_]\w{5,}")
KEYWORDS = set(
    b"alignas alignof concept consteval constexpr constinit continue decltype default defined delete double explicit export extern "
    b"friend inline mutable namespace noexcept nullptr operator private protected public register reinterpret_cast requires return "
    b"signed sizeof static static_assert static_cast struct switch template thread_local typedef typeid typename unsigned virtual "
    b"volatile dynamic_cast const_cast define include ifndef pragma __attribute__ __extension__ override".split())


def grow(source, target, copies):
    """Copies of every project that no search for duplicates takes for one: long names get the number of the copy."""
    for number in range(copies):
        for project in sorted(path for path in source.iterdir() if path.is_dir() and not path.name.startswith(".")):
            for folder, folders, names in os.walk(project):
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                place = target / f"{project.name}-{number}" / Path(folder).relative_to(project)
                place.mkdir(parents=True, exist_ok=True)
                for name in names:
                    path = Path(folder) / name
                    if path.suffix in SOURCES | HEADERS and not path.is_symlink():
                        (place / name).write_bytes(renamed(path.read_bytes(), number))


def renamed(text, number):
    ending = b"_%d" % number

    def word(match):
        return match.group(0) if match.group(0) in KEYWORDS else match.group(0) + ending

    lines = text.split(b"\n")
    return b"\n".join(line if line.lstrip().startswith(b"#") else WORD.sub(word, line) for line in lines)


def percent(share):
    return f"{100 * share:.1f}%"


def say(text):
    print(f"corpus bench: {text}", file=sys.stderr, flush=True)


def table(rows):
    cells = [["claim", "figure", "aim", "met"]]
    cells += [[row["claim"], row["figure"], row["aim"], "yes" if row["met"] else "NO"] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    return "\n".join(" | ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells)


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wootz", type=Path, required=True, help="the binary, built for release")
    parser.add_argument("--plain-parse", type=Path, required=True, help="the example of wootz-chunk, built for release")
    parser.add_argument("--sources", type=Path, default=Path("target/bench-corpus/sources"), help="folder of the projects")
    parser.add_argument("--out", type=Path, default=Path("target/bench-corpus"), help="folder of corpora and figures")
    parser.add_argument("--only", default=",".join(CLAIMS), help="claims to measure, with commas between them")
    parser.add_argument("--sample", type=int, default=20, help="documents of each kind and project to compile")
    parser.add_argument("--every-function", action="store_true", help="compile documents of the functions of small files too")
    parser.add_argument("--more", type=Path, nargs="?", const=Path("target/bench-corpus/more"),
                        help="compile documents of other projects too, fetched into this folder")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of ours and the parser in turn")
    parser.add_argument("--runs", type=int, default=10, help="runs that must come to the same")
    parser.add_argument("--copies", type=int, default=10, help="copies of the sources for the claim on memory")
    parser.add_argument("--seed", type=int, default=1, help="which documents are compiled, which near duplicates and secrets are planted")
    parser.add_argument("--planted", type=int, default=1000, help="near duplicates to plant")
    parser.add_argument("--secrets", type=int, default=504, help="secrets to plant")
    parser.add_argument("--failures", type=Path, help="write documents that do not compile to this folder")
    arguments = parser.parse_args()
    unknown = set(arguments.only.split(",")) - set(CLAIMS)
    if unknown:
        parser.error(f"unknown claims: {', '.join(sorted(unknown))}; known are {', '.join(CLAIMS)}")
    for number in (arguments.sample, arguments.rounds, arguments.runs, arguments.copies, arguments.planted, arguments.secrets):
        if number < 1:
            parser.error("numbers are from 1")
    return arguments


def main():
    arguments = parsed_arguments()
    if "order" in arguments.only.split(","):
        try:
            import tree_sitter_cpp  # noqa: F401
        except ImportError:
            say("this Python has no tree_sitter_cpp; run `dev/setup.sh corpus`, which installs it into .venv")
            return 3
    arguments.out.mkdir(parents=True, exist_ok=True)
    for folder, which in [(arguments.sources, []), (arguments.more, ["more"])]:
        fetched = folder and subprocess.run([HERE / "corpus_sources.sh", folder, *which])
        if fetched and fetched.returncode:
            return fetched.returncode
    bench = Bench(arguments)
    for name in arguments.only.split(","):
        try:
            getattr(bench, name)()
        except Failed as failure:
            bench.claim(name, str(failure), "measured", False)
    print(table(bench.rows))
    figures = {"claims": bench.rows, "details": bench.details}
    (arguments.out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    return 0 if all(row["met"] for row in bench.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
