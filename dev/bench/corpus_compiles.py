"""Do documents compile and parse where the files they were made from do? Project by project. Used by corpus.py.

Every project is built into a corpus of its own and audited with a sample of each kind of document: a sample of all projects
together would hold little of the small ones, and a reader wants to know which projects are hard. Only documents whose original
compiles (parses) count; how many originals do not is told beside. The seed decides what is drawn, and nothing else does.

With --more, projects of other styles are asked as well, each into documents of every function, as most of their files fit whole.
They have totals of their own: those of the eight stay comparable.
"""

import json
import shutil

KINDS = ["file", "function", "class"]
TITLES = {"file": "whole files", "function": "functions", "class": "classes and types"}
# Of 497 documents of the eight projects whose original compiles, both kinds together.
ORIGINAL_CHUNKER = "35.2%"


class Tally:
    """By check and kind: documents, those whose original holds, and of these those that hold too."""

    def __init__(self):
        self.counts = {}

    def add(self, check, kind, share):
        counts = self.counts.setdefault((check, kind), [0, 0, 0])
        for at, key in enumerate(("documents", "originals", "hold")):
            counts[at] += share[key]

    def of(self, check, *kinds):
        found = [self.counts.get((check, kind), [0, 0, 0]) for kind in kinds]
        return [sum(column) for column in zip(*found)]

    def row(self, name):
        cells = [name]
        for kind in KINDS:
            _, originals, hold = self.of("compiles", kind)
            cells.append(f"{hold}/{originals}" if originals else "-")
        _, originals, hold = self.of("parses", *KINDS)
        documents, compiling, _ = self.of("compiles", *KINDS)
        return [*cells, f"{hold}/{originals}", f"{documents - compiling} of {documents}"]


def compiles(bench):
    arguments = bench.arguments
    total = measured(bench, arguments.sources, "", ["--every-function"] if arguments.every_function else [])
    claims(bench, total, "")
    if arguments.more:
        claims(bench, measured(bench, arguments.more, "more ", ["--every-function"]), " (other projects)")


def claims(bench, total, of):
    def claim(name, counts, aim):
        documents, originals, hold = counts
        if not originals:
            return bench.claim(name + of, "no documents", bench.percent(aim) if aim else "-", False)
        figure = f"{bench.percent(hold / originals)} ({hold} of {originals} whose original does, of {documents})"
        bench.claim(name + of, figure, f">= {bench.percent(aim)}" if aim else "-", not aim or hold / originals >= aim)

    claim(f"whole files that compile; the original chunker's documents: {ORIGINAL_CHUNKER}", total.of("compiles", "file"), 0.97)
    claim("functions, classes and types that compile", total.of("compiles", "function", "class"), 0.90)
    claim("  of these: functions", total.of("compiles", "function"), None)
    claim("  of these: classes and types", total.of("compiles", "class"), None)
    claim("documents that parse", total.of("parses", *KINDS), 0.99)


def measured(bench, sources, label, extra):
    """Audits each project below `sources`; prints a row for each and one for all, and gives the counts of all."""
    total = Tally()
    rows = [["project", *(TITLES[kind] for kind in KINDS), "parse", "originals that do not compile"]]
    for project in sorted(path for path in sources.iterdir() if path.is_dir() and not path.name.startswith(".")):
        audit = audited(bench, project, extra)
        bench.details.setdefault("audits", {})[label + project.name] = audit
        own = Tally()
        for check in audit["checks"]:
            if check["check"] in ("compiles", "parses"):
                own.add(check["check"], check["kind"], check["all"])
                total.add(check["check"], check["kind"], check["all"])
        rows.append(own.row(project.name))
        bench.say(f"compiles: {' | '.join(rows[-1])}")
    rows.append(total.row("all"))
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        print(" | ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip(), flush=True)
    return total


def audited(bench, project, extra):
    arguments = bench.arguments
    folder, _, _ = bench.build("compiles", extra=extra, sources=project)
    command = [arguments.wootz, "corpus", "audit", folder, "--sources", project, "--sample", arguments.sample,
               "--seed", arguments.seed, "--json", "--quiet"]
    if arguments.failures:
        command += ["--failures", arguments.failures / project.name]
    audit = json.loads(bench.need(command)[0])
    shutil.rmtree(folder, ignore_errors=True)
    return audit
