#!/usr/bin/env python3
"""Training steps on NVIDIA GPUs: ours and PyTorch's in turn, at the same shapes, in one run on one machine.

  gpu.py --wootz BINARY --peer torch_pretrain.py --out DIR [--shapes NAME,...] [--rounds N] [--budget SECONDS]

It needs Python 3, the binary, and for the peers a Python with torch; no toolchain. Every figure is of a fresh process, and
the rounds alternate, so that a slow minute of the machine hits both sides. The first round runs every peer that can be
imported (torch, Liger, Cut Cross Entropy), the later ones the fastest of them. The ratio of speeds is against the fastest
peer, that of memory against the leanest. DIR/results.json is written anew after each process: a run that is cut keeps what
it has. Exit code: 0 every target is reached, 1 one is missed or nothing could be compared, 2 usage.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import time

# Name: what both sides are told, least ratio of speed, greatest ratio of memory.
SHAPES = {
    "d20-b32": (dict(depth=20, batch=32, seq=2048), 1.24, 0.5),
    "d20-b32-fp8": (dict(depth=20, batch=32, seq=2048, fp8=True), 1.25, 0.5),
    "d20-b8": (dict(depth=20, batch=8, seq=1024), 1.3, 0.7),
    "d20-b1-t65536": (dict(depth=20, batch=1, seq=65536), 1.1, 0.5),
    "d12-b32": (dict(depth=12, batch=32, seq=2048), 1.3, 0.5),
}
# Name: the module that it needs, and its flags.
PEERS = {
    "torch": ("torch", []),
    "liger": ("liger_kernel", ["--loss", "liger"]),
    "cce": ("cut_cross_entropy", ["--loss", "cce"]),
}
# Tokens per second that ours must reach whatever the peer does: 1.2 times what the best known trainer was measured at.
LEAST_SPEED = {"d20-b32-fp8": 1.2 * 195_400}
LEAST_SCALING = 0.97


def flags(shape):
    found = []
    for name, value in shape.items():
        found += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    return found


def find_report(text):
    """The last JSON object with a throughput: on a line of its own, or the whole of the text."""
    for candidate in [*reversed(text.strip().splitlines()), text]:
        try:
            value = json.loads(candidate)
        except ValueError:
            continue
        found = within(value)
        if found:
            return found
    return None


def within(value):
    if isinstance(value, dict):
        if "tokens_per_second" in value:
            return value
        value = list(value.values())
    if isinstance(value, list):
        return next(filter(None, map(within, value)), None)
    return None


class Bench:
    def __init__(self, arguments):
        self.arguments = arguments
        self.end = time.monotonic() + arguments.budget
        # Of each measurement: shape, side, round, and the report or why there is none.
        self.measured = []
        self.environment = dict(os.environ)
        compiled = os.path.join(os.path.abspath(arguments.out), "torch-cache")
        self.environment.setdefault("TORCHINDUCTOR_CACHE_DIR", compiled)

    def measure(self, shape, side, command, round_number):
        left = self.end - time.monotonic()
        if left < self.arguments.least:
            self.record(shape, side, round_number, {"failure": "the time budget is spent"}, 0.0)
            return None
        limit = min(left, self.arguments.limit)
        begin = time.monotonic()
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=limit, env=self.environment)
            report = find_report(done.stdout) if done.returncode == 0 else None
            if report is None:
                lines = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()
                failure = f"exit code {done.returncode}: {' | '.join(lines[-3:])[-400:]}"
        except subprocess.TimeoutExpired:
            report, failure = None, f"no result within {limit:.0f} s"
        except OSError as error:
            report, failure = None, str(error)
        entry = {"report": report} if report else {"failure": failure}
        self.record(shape, side, round_number, entry, time.monotonic() - begin)
        return report

    def record(self, shape, side, round_number, entry, seconds):
        self.measured.append({"shape": shape, "side": side, "round": round_number, "seconds": round(seconds, 1), **entry})
        told = entry.get("failure")
        if told is None:
            report = entry["report"]
            told = f"{report['tokens_per_second']:.0f} tok/s, {report.get('peak_gib', 0):.2f} GiB"
        print(f"{shape} round {round_number} {side}: {told} ({seconds:.0f} s)", file=sys.stderr, flush=True)
        self.write()

    def write(self):
        path = os.path.join(self.arguments.out, "results.json")
        with open(path + ".part", "w", encoding="utf-8") as file:
            json.dump({"rows": self.rows(), "measured": self.measured}, file, indent=1)
        os.replace(path + ".part", path)

    def reports(self, shape, side):
        return [m["report"] for m in self.measured if (m["shape"], m["side"]) == (shape, side) and "report" in m]

    def sides(self, shape):
        return {m["side"]: None for m in self.measured if m["shape"] == shape and "report" in m}

    def ours(self, name, shape, extra=(), profile=False):
        command = [self.arguments.wootz, "train", "bench", "--json", "--quiet", "--device", "cuda", *flags(shape), *extra]
        command += shlex.split(self.arguments.ours) + shlex.split(self.arguments.ours_at.get(name, ""))
        if profile:
            command += ["--profile", os.path.join(self.arguments.out, name)]
        return command

    def shape(self, name):
        shape = SHAPES[name][0]
        peers = self.arguments.peers
        for round_number in range(1, self.arguments.rounds + 1):
            profile = self.arguments.profile and round_number == self.arguments.rounds
            self.measure(name, "wootz", self.ours(name, shape, profile=profile), round_number)
            for peer in peers:
                command = [self.arguments.python, self.arguments.peer, *flags(shape), *PEERS[peer][1]]
                self.measure(name, peer, command, round_number)
            known = [peer for peer in peers if self.reports(name, peer)]
            if known and not self.arguments.every_peer:
                peers = [max(known, key=lambda peer: speed(self.reports(name, peer)))]

    def scaling(self, name, gpus):
        """Ours on several GPUs, in turn with ours on one."""
        shape = SHAPES[name][0]
        for round_number in range(1, self.arguments.rounds + 1):
            self.measure(name, "wootz", self.ours(name, shape), round_number)
            self.measure(name, f"wootz x{gpus}", self.ours(name, shape, ["--gpus", str(gpus)]), round_number)

    def rows(self):
        return [row for name in SHAPES if (row := self.row(name)) is not None]

    def row(self, name):
        sides = self.sides(name)
        peers = [side for side in sides if side in PEERS]
        several = [side for side in sides if side.startswith("wootz x")]
        if "wootz" not in sides and not peers:
            return None
        ours = self.reports(name, "wootz")
        row = {"shape": name, "rounds": len(ours), "speed_target": SHAPES[name][1], "memory_target": SHAPES[name][2]}
        if ours:
            speeds = [report["tokens_per_second"] for report in ours]
            row |= {"ours": statistics.median(speeds), "ours_min": min(speeds), "ours_max": max(speeds)}
            row |= {"ours_gib": memory(ours)}
            drivers = [report["driver_peak_gib"] for report in ours if report.get("driver_peak_gib")]
            row |= {"ours_driver_gib": max(drivers)} if drivers else {}
        if peers:
            fastest = max(peers, key=lambda peer: speed(self.reports(name, peer)))
            leanest = min(peers, key=lambda peer: memory(self.reports(name, peer)))
            speeds = [report["tokens_per_second"] for report in self.reports(name, fastest)]
            row |= {"peer": fastest, "peer_speed": statistics.median(speeds), "peer_min": min(speeds), "peer_max": max(speeds)}
            row |= {"leanest": leanest, "peer_gib": memory(self.reports(name, leanest))}
        if ours and peers:
            row |= {"speed_ratio": row["ours"] / row["peer_speed"], "memory_ratio": row["ours_gib"] / row["peer_gib"]}
        for side in several:
            gpus, rate = int(side.removeprefix("wootz x")), speed(self.reports(name, side))
            row |= {"gpus": gpus, "gpus_speed": rate}
            row |= {"scaling": rate / (gpus * row["ours"])} if ours else {}
        return row


def speed(reports):
    return statistics.median(report["tokens_per_second"] for report in reports)


def memory(reports):
    return max(report["peak_gib"] for report in reports)


HEADER = ["shape", "ours tok/s (min–max)", "best peer tok/s (min–max)", "ratio", "ours GiB", "peer GiB", "ratio", ""]


def table(rows):
    lines = [HEADER]
    for row in rows:
        def span(middle, least, most):
            return f"{row[middle]:.0f} ({row[least]:.0f}–{row[most]:.0f})" if middle in row else "-"

        def ratio(key, target, sign):
            return f"{row[key]:.3f} ({sign} {row[target]:g})" if key in row else "-"

        peer = span("peer_speed", "peer_min", "peer_max")
        lines.append([
            row["shape"],
            span("ours", "ours_min", "ours_max"),
            f"{row['peer']} {peer}" if "peer" in row else "-",
            ratio("speed_ratio", "speed_target", "≥"),
            f"{row['ours_gib']:.2f}" if "ours_gib" in row else "-",
            f"{row['leanest']} {row['peer_gib']:.2f}" if "peer_gib" in row else "-",
            ratio("memory_ratio", "memory_target", "≤"),
            verdict(row),
        ])
        if "gpus" in row:
            scaling = f"{row['scaling']:.3f} (≥ {LEAST_SCALING:g})" if "scaling" in row else "-"
            lines.append([f"{row['shape']} x{row['gpus']}", f"{row['gpus_speed']:.0f}", "-", scaling, "", "", "", ""])
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADER))]
    text = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text)


def held(row):
    """Whether everything that was compared is in its bounds; none where nothing was."""
    checks = []
    if "speed_ratio" in row:
        checks += [row["speed_ratio"] >= row["speed_target"], row["memory_ratio"] <= row["memory_target"]]
        checks.append(row["ours"] >= LEAST_SPEED.get(row["shape"], 0))
    if "scaling" in row:
        checks.append(row["scaling"] >= LEAST_SCALING)
    return all(checks) if checks else None


def verdict(row):
    return {True: "reached", False: "missed", None: "not compared"}[held(row)]


def importable(python, module):
    probe = subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False)
    return probe.returncode == 0


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wootz", required=True, help="the binary")
    parser.add_argument("--peer", help="the peers' script; without it only ours is measured")
    parser.add_argument("--python", default=sys.executable, help="a Python with torch")
    parser.add_argument("--out", required=True, help="folder of results.json, table.md and profiles")
    parser.add_argument("--shapes", default=",".join(SHAPES), help=f"of {', '.join(SHAPES)}")
    parser.add_argument("--peers", default=",".join(PEERS), help=f"of {', '.join(PEERS)}; what cannot be imported is left out")
    parser.add_argument("--every-peer", action="store_true", help="all peers in every round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gpus", type=int, default=1, help="from 2: no peers, but ours on so many GPUs beside ours on one")
    parser.add_argument("--budget", type=float, default=1e9, help="seconds for all; what does not fit is left out")
    parser.add_argument("--limit", type=float, default=600, help="seconds for one process")
    parser.add_argument("--least", type=float, default=20, help="seconds below which no process is started any more")
    parser.add_argument("--profile", action="store_true", help="a profile of ours in the last round of each shape")
    parser.add_argument("--ours", default="", help="more flags for ours, in one word")
    parser.add_argument("--ours-at", action="append", default=[], metavar="SHAPE=FLAGS", help="the same for one shape")
    arguments = parser.parse_args()
    arguments.shapes = [name for name in arguments.shapes.split(",") if name]
    arguments.peers = [name for name in arguments.peers.split(",") if name] if arguments.peer else []
    arguments.ours_at = dict(pair.split("=", 1) for pair in arguments.ours_at if "=" in pair)
    for name, known in [*((n, SHAPES) for n in [*arguments.shapes, *arguments.ours_at]), *((n, PEERS) for n in arguments.peers)]:
        if name not in known:
            parser.error(f"no {name!r}; it is one of {', '.join(known)}")
    for path in filter(None, [arguments.wootz, arguments.peer]):
        if not os.path.isfile(path):
            parser.error(f"no file {path}")
    arguments.wootz = os.path.abspath(arguments.wootz)
    return arguments


def main():
    arguments = parse()
    os.makedirs(arguments.out, exist_ok=True)
    if arguments.gpus > 1:
        arguments.peers = []
    missing = [name for name in arguments.peers if not importable(arguments.python, PEERS[name][0])]
    for name in missing:
        print(f"left out {name}: {arguments.python} cannot import {PEERS[name][0]}", file=sys.stderr)
    arguments.peers = [name for name in arguments.peers if name not in missing]
    bench = Bench(arguments)
    for name in arguments.shapes:
        if arguments.gpus > 1:
            bench.scaling(name, arguments.gpus)
        else:
            bench.shape(name)
    bench.write()
    rows = bench.rows()
    text = table(rows)
    print(text)
    with open(os.path.join(arguments.out, "table.md"), "w", encoding="utf-8") as file:
        file.write(text + "\n")
    verdicts = [held(row) for row in rows]
    sys.exit(0 if verdicts and all(v is True for v in verdicts) else 1)


if __name__ == "__main__":
    main()
