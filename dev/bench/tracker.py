#!/usr/bin/env python3
"""The tracker's speed: whole processes on stores of 10,000 and 100,000 issues, beside what the disk and a plain reader need.

    cargo xtask bench tracker                      builds the binary and runs this
    python dev/bench/tracker.py --wootz BINARY [--rounds N] [--json FILE]

Prints one table `what | median | least - most | peak memory | aim | met` and exits 1 when a median is over its aim. All rows are measured in
turn, round by round, so that a slow minute of the machine hits all of them. Times are from the start of a process to its end, output to
/dev/null; "floor" rows are of this script: a copy of the file of issues with an fsync and a rename, which every change of the store
includes, and a process of the binary that does nothing. "plain reader" is this Python reading each line with json and deciding the same.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
PLAIN_READER = """
import json, sys
issues = {}
for line in open(sys.argv[1], encoding="utf-8"):
    issue = json.loads(line)
    issues[issue["id"]] = issue
ready = [issue for issue in issues.values() if issue["status"] == "open"
         and all(issues[on]["status"] == "closed" for on in issue["blocked_by"] if on in issues)]
ready.sort(key=lambda issue: (issue["priority"], issue["created_at"]))
for issue in ready:
    print(issue["id"], issue["priority"], issue["issue_type"], issue["title"])
"""


def make_store(folder, count):
    """A third of the issues open, a twentieth in work; every fifth waits for another."""
    rng = random.Random(7)
    ids = set()
    while len(ids) < count:
        ids.add("bn-" + "".join(rng.choices(LETTERS, k=6)))
    ids = sorted(ids)
    store = folder / ".ba"
    store.mkdir(parents=True)
    (store / "config.json").write_text('{\n  "version": 1,\n  "prefix": "bn"\n}\n')
    with open(store / "issues.jsonl", "w", encoding="utf-8") as file:
        for at, id in enumerate(ids):
            status = rng.choices(["open", "in_progress", "closed"], [35, 5, 60])[0]
            about = rng.choice(["parser", "cache", "index", "merge", "café"])
            created = f"2026-0{rng.randrange(1, 9)}-1{rng.randrange(10)}T10:{rng.randrange(10, 60)}:00Z"
            issue = {
                "id": id,
                "title": f"Task {at} about the {about}",
                "description": "What is to be done, and why. " * rng.randrange(1, 8),
                "status": status,
                "priority": rng.randrange(5),
                "issue_type": rng.choice(["task", "bug", "feature"]),
                "created_at": created,
                "updated_at": "2026-09-10T10:00:00Z",
            }
            if status == "in_progress":
                issue["session_id"] = f"agent-{rng.randrange(9)}"
            waits = rng.random() < 0.2
            issue["blocked_by"] = [other for other in [rng.choice(ids)] if waits and other < id]
            file.write(json.dumps(issue, ensure_ascii=False, separators=(",", ":")) + "\n")


def timed(command, cwd):
    """Seconds and peak resident bytes of a process."""
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    told = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {process.returncode}: {told.decode()}")
    return seconds, usage.ru_maxrss * 1024


def copied(path):
    """Seconds that a copy of the file needs, with an fsync, to take its place."""
    start = time.perf_counter()
    new = path.with_name("copy")
    with open(path, "rb", buffering=0) as old, open(new, "wb", buffering=0) as file:
        while block := old.read(4 << 20):
            file.write(block)
        os.fsync(file.fileno())
    os.rename(new, path)
    return time.perf_counter() - start, 0


def rows(wootz, python, folder, count):
    """What is measured on a store: name, aim in milliseconds, and how; those that change the file's identity come last."""
    store = folder / ".ba"
    issue = [wootz, "--quiet", "issue"]
    thousands = f"{count:,}"

    def first():
        (store / "issues.index").unlink(missing_ok=True)
        return timed([*issue, "ready"], folder)

    ready, create = {10_000: (10, None), 100_000: (60, 20)}[count]
    return [
        (f"ready, no index yet, {thousands}", None, first),
        (f"ready, {thousands}", ready, lambda: timed([*issue, "ready"], folder)),
        (f"ready --json, {thousands}", None, lambda: timed([*issue, "ready", "--json"], folder)),
        (f"list --limit 20, {thousands}", None, lambda: timed([*issue, "list", "--limit", "20"], folder)),
        (f"plain reader, {thousands}", None, lambda: timed([python, "-c", PLAIN_READER, store / "issues.jsonl"], folder)),
        (f"create, {thousands}", create, lambda: timed([*issue, "create", "A new task"], folder)),
        (f"floor: copy and fsync, {thousands}", None, lambda: copied(store / "issues.jsonl")),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wootz", required=True, type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--folder", type=Path, help="make the stores below this folder, on the disk that is to be measured")
    options = parser.parse_args()
    wootz = options.wootz.resolve()
    root = Path(tempfile.mkdtemp(prefix="tracker-bench-", dir=options.folder))
    try:
        measured = [("floor: a process that does nothing", None, lambda: timed([wootz, "--version"], root))]
        for count in (10_000, 100_000):
            make_store(root / str(count), count)
            measured += rows(wootz, sys.executable, root / str(count), count)
        figures = {name: [] for name, _, _ in measured}
        for at in range(options.rounds + 1):
            for name, _, measure in measured:
                # What other rows wrote is on the disk, so that none pays for another.
                os.sync()
                # The first round warms the page cache.
                figures[name] += [measure()] if at else [] if measure() else []
    finally:
        shutil.rmtree(root, ignore_errors=True)
    missed = False
    print(f"{'what':<42}{'median ms':>10}{'least - most':>18}{'peak MB':>9}{'aim ms':>8}  met")
    for name, aim, _ in measured:
        times = [seconds * 1e3 for seconds, _ in figures[name]]
        median, peak = statistics.median(times), max(bytes for _, bytes in figures[name]) / 1e6
        met = "" if aim is None else "yes" if median <= aim else "NO"
        missed |= met == "NO"
        spread = f"{min(times):.1f} - {max(times):.1f}"
        print(f"{name:<42}{median:>10.1f}{spread:>18}{f'{peak:.0f}' if peak else '':>9}{aim or '':>8}  {met}".rstrip())
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
