#!/usr/bin/env python3
"""The wheel index's speed: whole processes on one core that make the pages of 100,000 files, beside a plain generator in Python.

    cargo xtask bench wheels                      builds the binary and runs this
    python dev/bench/wheels.py --wootz BINARY [--rounds N] [--folder DIR] [--json FILE]

Prints one table `what | median | least - most | peak memory | aim | met` and exits 1 when a median is over its aim. All rows are measured in
turn, round by round, each into a folder of its own below DIR (the disk that is to be measured; default: where temporary files are). The plain
generator writes the HTML pages alone, with hashes and Requires-Python; "floor" is a copy of all that ours wrote, with a sync of the file system.
"""

import argparse
import hashlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tracker import timed

PROJECTS, FILES = 2_000, 100_000

PLAIN_GENERATOR = """
import collections, html, json, pathlib, sys
catalogue, out = sys.argv[1], pathlib.Path(sys.argv[2])
projects = collections.defaultdict(list)
with open(catalogue, encoding="utf-8") as file:
    for line in file:
        wheel = json.loads(line)
        projects[wheel["filename"].split("-")[0].replace("_", "-").lower()].append(wheel)
out.mkdir(parents=True)
names = sorted(projects)
(out / "index.html").write_text("<!DOCTYPE html><html><body>" + "".join(f'<a href="{name}/">{name}</a><br>' for name in names) + "</body></html>")
for name in names:
    lines = []
    for wheel in sorted(projects[name], key=lambda wheel: wheel["filename"]):
        url = html.escape(wheel["url"].replace("+", "%2B"))
        python = html.escape(wheel["requires_python"])
        lines.append(f'<a href="{url}#sha256={wheel["sha256"]}" data-requires-python="{python}">{html.escape(wheel["filename"])}</a><br>')
    (out / name).mkdir()
    (out / name / "index.html").write_text("<!DOCTYPE html><html><body>" + "\\n".join(lines) + "</body></html>")
"""


def line(at):
    """A line of a catalogue: the files of a project are versions, CUDA, torch and Python."""
    project, file = at % PROJECTS, at // PROJECTS
    local = f"cu12{file % 4 + 6}torch2.{file % 3 + 7}"
    python = f"cp3{9 + file % 6}"
    name = f"gpu_package_{project:04}-1.{file // 20}.{file % 5}+{local}-{file}-{python}-{python}-manylinux_2_28_x86_64.whl"
    return json.dumps({
        "url": f"https://example.test/releases/download/v1.{file // 20}/{name}",
        "filename": name,
        "sha256": hashlib.sha256(name.encode()).hexdigest(),
        "size": 1_000_000 + at,
        "upload_time": f"2026-0{file % 9 + 1}-10T10:00:00Z",
        "requires_python": ">=3.9",
        "metadata_sha256": hashlib.sha256(b"m" + name.encode()).hexdigest(),
    }, separators=(",", ":")) + "\n"


def copied(folder, to):
    """Seconds that a copy of all pages needs, until the disk has it."""
    start = time.perf_counter()
    shutil.copytree(folder, to)
    os.sync()
    return time.perf_counter() - start, 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wootz", required=True, type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--folder", type=Path, help="write below this folder, on the disk that is to be measured")
    options = parser.parse_args()
    wootz = options.wootz.resolve()
    root = Path(tempfile.mkdtemp(prefix="wheels-bench-", dir=options.folder))
    # One core for all of them.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    try:
        catalogue, more = root / "catalogue.jsonl", root / "more.jsonl"
        catalogue.write_text("".join(map(line, range(FILES))))
        more.write_text(catalogue.read_text() + line(FILES))
        build = [wootz, "--quiet", "index", "build", "--catalogue"]

        def ours(of, at):
            return timed([*build, of, "--output-dir", root / f"ours-{at}" / "simple"], root)

        measured = [
            ("the pages, into a new folder", 1000, lambda at: ours(catalogue, at)),
            ("the same, nothing changes", None, lambda at: ours(catalogue, at)),
            ("the same, one file more", None, lambda at: ours(more, at)),
            ("plain generator, HTML alone", None, lambda at: timed([sys.executable, "-c", PLAIN_GENERATOR, catalogue, root / f"plain-{at}"], root)),
            ("floor: copy of the pages and sync", None, lambda at: copied(root / f"ours-{at}", root / f"copy-{at}")),
        ]
        figures = {name: [] for name, _, _ in measured}
        for at in range(options.rounds + 1):
            for name, _, measure in measured:
                os.sync()
                # The first round warms the page cache.
                figures[name] += [measure(at)] if at else [] if measure(at) else []
        pages = [path for path in (root / "ours-0").rglob("*") if path.is_file()]
        print(f"{len(pages):,} pages, {sum(path.stat().st_size for path in pages) / 1e6:.0f} MB")
    finally:
        shutil.rmtree(root, ignore_errors=True)
    missed = False
    print(f"{'what':<42}{'median ms':>10}{'least - most':>18}{'peak MB':>9}{'aim ms':>8}  met")
    for name, aim, _ in measured:
        times = [seconds * 1e3 for seconds, _ in figures[name]]
        median, peak = statistics.median(times), max(size for _, size in figures[name]) / 1e6
        met = "" if aim is None else "yes" if median <= aim else "NO"
        missed |= met == "NO"
        spread = f"{min(times):.0f} - {max(times):.0f}"
        print(f"{name:<42}{median:>10.0f}{spread:>18}{f'{peak:.0f}' if peak else '':>9}{aim or '':>8}  {met}".rstrip())
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
