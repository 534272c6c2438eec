"""Commit mode on three real git histories: time, what is left out, and whether changed functions are named exactly. Used by corpus.py.

The 50 cases of corpus_histories.tsv (commit, path, functions and types) were drawn by a seed, 17 of C, 16 of Python and 17 of Go,
and settled by reading the diffs: what holds the changed lines, before or after. A line belongs to the smallest function around
it, else to the smallest type; comments in front of a function, includes, and lines of the module belong to none.
"""

import csv
import json
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
COMMITS = 1_712


def cases():
    with open(HERE / "corpus_histories.tsv", newline="") as lines:
        return {(row["commit"], row["path"]): set(row["functions"].split(" ")) for row in csv.DictReader(lines, delimiter="\t")}


def commits(bench):
    repositories = bench.out / "histories"
    fetched = subprocess.run([HERE / "histories.sh", repositories])
    if fetched.returncode:
        raise bench.Failed(f"histories.sh ended with {fetched.returncode}")
    folder = bench.out / "commits"
    command = [bench.arguments.wootz, "corpus", "commits", repositories / "all.git", "--out", folder, "--threads", 2, "--quiet",
               "--keep-near-duplicates"]
    _, seconds, peak = bench.need(command)
    named = {}
    for one in map(json.loads, bench.documents(folder)):
        named.setdefault((one["commit"], one["path"]), set()).update(one["symbols"])
    expected = cases()
    wrong = {f"{commit[:10]} {path}": sorted(functions ^ named.get((commit, path), set()))
             for (commit, path), functions in expected.items() if functions != named.get((commit, path))}
    manifest = json.loads((folder / "manifest.json").read_text())
    bench.details["commits"] = {
        "seconds": seconds, "peak_bytes": peak, "documents": manifest["documents"], "files": manifest["files"],
        "dropped_documents": manifest["dropped_documents"], "wrong": wrong,
    }
    exact = len(expected) - len(wrong)
    bench.claim("changes of real histories with their functions named exactly", f"{exact} of {len(expected)}", "50 of 50",
                exact == len(expected) == 50)
    figure = f"{seconds:.1f} s, {peak / 1e6:.0f} MB, {manifest['documents']['documents']:,} documents"
    bench.claim(f"  commit mode on {COMMITS:,} commits of three histories", figure, "-", True)
