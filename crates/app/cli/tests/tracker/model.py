"""A model of the role `ba`, written from its description alone, which makes random sessions and says what each command must print.

    python3 model.py SEED SESSIONS > sessions.jsonl

Issues are named by their number within the session (`<0>`) wherever their ID would stand, since IDs depend on the clock; the test puts in
the IDs that the store shows, which have seven characters, so that two spaces pad them to nine. Times stand as `<t>` in JSON and `<m>` in text. One line is one session: a list of
[arguments, exit code, stdout, stderr].
"""

import json
import random
import sys

TYPES = ["task", "epic", "refactor", "spike"]
TITLES = ["Read it", "x" * 40, "y" * 41, "z" * 30, "w" * 31, "", 'quote " and \\ and\ttab', "Überprüfung der 日本語 Überschrift, die lang ist, sehr"]
SESSIONS = ["s1", "s2", "agent-3"]
LABELS = ["a", "b", "area:x", "area:y", "ü"]
ORDER = ["id", "title", "description", "status", "priority", "issue_type", "session_id", "labels", "comments", "created_at", "updated_at",
         "closed_at", "blocks", "blocked_by"]


class Refused(Exception):
    pass


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"


def pretty(value):
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def record(issue):
    return {key: issue[key] for key in ORDER if issue.get(key) is not None}


def cut(title, limit):
    return title if len(title) <= limit else title[: limit - 3] + "..."


class Store:
    def __init__(self):
        self.issues = {}
        self.made = 0

    def get(self, name):
        if name not in self.issues:
            raise Refused(f"Issue not found: {name}")
        return self.issues[name]

    def ordered(self, keep):
        # The names of issues are given in the order of their making, so they stand for the time.
        return sorted((i for i in self.issues.values() if keep(i)), key=lambda i: (i["priority"], i["number"]))

    # Each command: the text, and what it prints with --json.

    def create(self, title, kind="task", priority=2, description=""):
        if kind not in TYPES:
            raise Refused(f"Unknown issue type: {kind} (valid: {', '.join(TYPES)})")
        if priority > 4:
            raise Refused("Priority must be 0-4")
        name = f"<{self.made}>"
        issue = {"id": name, "title": title, "description": description, "status": "open", "priority": priority, "issue_type": kind,
                 "labels": [], "comments": [], "created_at": "<t>", "updated_at": "<t>", "blocks": [], "blocked_by": [],
                 "number": self.made}
        self.made += 1
        self.issues[name] = issue
        return f"Created {name}\n", compact(record(issue))

    def list(self, status=None, everything=False):
        if status is not None and status not in ("open", "in_progress", "closed"):
            raise Refused(f"Unknown status: {status}")
        shown = self.ordered(lambda i: i["status"] == status if status else everything or i["status"] != "closed")
        array = compact([record(i) for i in shown])
        if not shown:
            return "No issues found.\n", array
        rows = "".join(f"  {i['id']}   {i['priority']}  {i['issue_type']} {i['status']} {cut(i['title'], 40)}\n" for i in shown)
        count = [sum(i["status"] == s for i in shown) for s in ("open", "in_progress", "closed")]
        head = "\n  ID        P  TYPE     STATUS       TITLE\n  " + "-" * 70 + "\n"
        foot = f"\n{len(shown)} issues ({count[0]} open, {count[1]} in_progress, {count[2]} closed)\n"
        return head + rows + foot, array

    def work(self, shown, empty, footer):
        array = compact([record(i) for i in shown])
        if not shown:
            return empty, array
        rows = "".join(f"  {i['id']}   {i['priority']}  {i['issue_type']} {cut(i['title'], 40)}\n" for i in shown)
        return "\n  ID        P  TYPE     TITLE\n  " + "-" * 60 + "\n" + rows + f"\n{len(shown)} issue(s) {footer}\n", array

    def ready(self):
        free = lambda i: all(b not in self.issues or self.issues[b]["status"] == "closed" for b in i["blocked_by"])
        return self.work(self.ordered(lambda i: i["status"] == "open" and free(i)), "No issues ready to work on.\n", "ready")

    def mine(self, session):
        mine = self.ordered(lambda i: i.get("session_id") == session)
        return self.work(mine, f"No issues claimed by session {session}\n", f"claimed by session {session}")

    def show(self, name):
        i = self.get(name)
        text = f"\n{name}: {i['title']}\n{'-' * 60}\nStatus:   {i['status']} Priority: P{i['priority']}\nType:     {i['issue_type']}\n"
        if i.get("session_id"):
            text += f"Session:  {i['session_id']}\n"
        text += "Created:  <m>\nUpdated:  <m>\n"
        if i.get("closed_at"):
            text += "Closed:   <m>\n"
        if i["description"]:
            text += f"\nDescription:\n{i['description']}\n"
        if i["blocked_by"]:
            text += f"\nBlocked by: {', '.join(i['blocked_by'])}\n"
        if i["blocks"]:
            text += f"Blocks: {', '.join(i['blocks'])}\n"
        if i["labels"]:
            text += f"\nLabels: {', '.join(i['labels'])}\n"
        if i["comments"]:
            text += f"\nComments ({len(i['comments'])}):\n"
        for c in i["comments"]:
            text += f"  [<m>] {c['author']}: {c['text']}\n"
        return text, pretty(record(i))

    def claim(self, name, session):
        i = self.get(name)
        owner = i.get("session_id")
        if i["status"] != "closed" and owner == session:
            raise Refused(f"Issue {name} is already claimed by this session")
        if i["status"] != "closed" and owner:
            raise Refused(f"Issue {name} is already claimed by session {owner}")
        i.update(status="in_progress", session_id=session, closed_at=None)
        return f"Claimed {name} for session {session}\n", compact(record(i))

    def release(self, name):
        i = self.get(name)
        owner = i.get("session_id")
        if not owner:
            raise Refused(f"Issue {name} is not claimed")
        i.update(status="open", session_id=None)
        return f"Released {name} (was claimed by {owner})\n", compact(record(i))

    def finish(self, name):
        i = self.get(name)
        owner = i.get("session_id")
        if not owner:
            raise Refused(f"Issue {name} is not claimed. Use 'close' for unclaimed issues.")
        i.update(status="closed", session_id=None, closed_at="<t>")
        return f"Finished {name} (was claimed by {owner})\n", compact(record(i))

    def close(self, name):
        i = self.get(name)
        if i["status"] == "closed":
            raise Refused(f"Issue {name} is already closed")
        if i.get("session_id"):
            raise Refused(f"Issue {name} is claimed by session {i['session_id']}. Use 'release' first, or 'finish' to complete.")
        i.update(status="closed", closed_at="<t>")
        return f"Closed {name}\n", compact(record(i))

    def block(self, name, blocker):
        i, b = self.get(name), self.get(blocker)
        if name == blocker:
            raise Refused("Issue cannot block itself")
        if blocker in i["blocked_by"]:
            raise Refused(f"{name} already blocked by {blocker}")
        i["blocked_by"].append(blocker)
        b["blocks"].append(name)
        return f"{name} now blocked by {blocker}\n", compact({"blocked": name, "blocker": blocker})

    def unblock(self, name, blocker):
        i = self.get(name)
        if blocker not in i["blocked_by"]:
            raise Refused(f"{name} is not blocked by {blocker}")
        i["blocked_by"].remove(blocker)
        self.issues[blocker]["blocks"].remove(name)
        return f"{name} no longer blocked by {blocker}\n", compact({"unblocked": name, "was_blocker": blocker})

    def tree(self, name):
        self.get(name)

        def text(name, indent, path):
            i = self.issues[name]
            out = f"{name}: {cut(i['title'], 30)} [{i['status'].upper()}]\n"
            for at, b in enumerate(i["blocked_by"]):
                last = at + 1 == len(i["blocked_by"])
                out += indent + ("└── " if last else "├── ")
                if b in path:
                    out += f"{b} [CYCLE]\n"
                else:
                    out += text(b, indent + ("    " if last else "│   "), path | {b})
            return out

        def tree(name, path):
            i = self.issues[name]
            below = [{"cycle": True, "id": b} if b in path else tree(b, path | {b}) for b in i["blocked_by"]]
            return {"blocked_by": below, "id": name, "status": i["status"], "title": i["title"]}

        return "\n" + text(name, "", {name}), pretty(tree(name, {name}))

    def cycles(self):
        # Only where there is none: the order of several depends on IDs.
        return "No cycles detected.\n", "[]\n"

    def rings(self):
        reach = lambda start, at, seen: any(b == start or b not in seen and (seen.add(b) or reach(start, b, seen))
                                            for b in self.issues[at]["blocked_by"])
        return any(reach(name, name, set()) for name in self.issues)

    def label(self, name, action, label):
        i = self.get(name)
        if action == "add":
            if label in i["labels"]:
                raise Refused(f"Label '{label}' already exists on {name}")
            i["labels"] = sorted(i["labels"] + [label])
            return f"Added label '{label}' to {name}\n", compact(record(i))
        if action == "remove":
            if label not in i["labels"]:
                raise Refused(f"Label '{label}' not found on {name}")
            i["labels"].remove(label)
            return f"Removed label '{label}' from {name}\n", compact(record(i))
        raise Refused(f"Unknown action: {action} (use 'add' or 'remove')")

    def priority(self, name, priority):
        if priority > 4:
            raise Refused("Priority must be 0-4")
        i = self.get(name)
        before, i["priority"] = i["priority"], priority
        return f"Priority {before} -> {priority} for {name}\n", compact(record(i))

    def comment(self, name, text, author="anonymous"):
        i = self.get(name)
        comment = {"author": author, "text": text, "created_at": "<t>"}
        i["comments"].append(comment)
        return f"Added comment to {name} ({len(i['comments'])} comments total)\n", compact(comment)

    def delete(self, label, prefix, force):
        if (label is None) == (prefix is None):
            raise Refused("Provide exactly one selector: --label <label> or --label-prefix <prefix>")
        selector = f"label '{label}'" if label else f"label prefix '{prefix}'"
        meant = [n for n, i in self.issues.items() if any(k == label if label else k.startswith(prefix) for k in i["labels"])]
        if not meant:
            raise Refused(f"No issues matched {selector}")
        alive = [n for n in meant if self.issues[n]["status"] != "closed"]
        if alive and not force:
            # Sessions keep to one such issue: the order of several depends on IDs.
            raise Refused(f"Refusing to delete non-closed issues without --force: {', '.join(alive)}")
        for name in meant:
            del self.issues[name]
        for i in self.issues.values():
            i["blocks"] = [n for n in i["blocks"] if n not in meant]
            i["blocked_by"] = [n for n in i["blocked_by"] if n not in meant]
        return (f"Deleted {len(meant)} issue(s) matching {selector}\n",
                compact({"count": len(meant), "deleted": meant, "force": force, "selector": selector}))


def step(store, rng):
    """The arguments of a random command, and what runs it in the model."""
    names = list(store.issues) + (["zz-none"] if rng.random() < 0.08 else [])
    name = rng.choice(names) if names else "zz-none"
    other = rng.choice(names) if names else "zz-none"
    session, label = rng.choice(SESSIONS), rng.choice(LABELS)
    kind = rng.choices(["create", "list", "ready", "mine", "show", "claim", "release", "finish", "close", "block", "unblock", "tree", "cycles",
                        "label", "priority", "comment", "delete", "usage"],
                       [1000 if store.made < 2 else 3, 2, 2, 2, 2, 5, 2, 3, 2, 6, 2, 2, 1, 4, 2, 2, 1, 1])[0]
    if kind == "create":
        title, issue_type = rng.choice(TITLES), rng.choice(TYPES + ["bug"])
        priority, description = rng.choice([0, 1, 2, 3, 4, 5]), rng.choice(["", "two\nlines"])
        args = [rng.choice(["create", "add", "new"]), title, rng.choice(["-t", "--issue-type"]), issue_type, "-p", str(priority), "-d", description]
        return args, lambda: store.create(title, issue_type, priority, description)
    if kind == "list":
        status = rng.choice([None, "open", "in_progress", "closed", "done"])
        everything = rng.random() < 0.4
        return ["list"] + (["--status", status] if status else []) + ["--all"] * everything, lambda: store.list(status, everything)
    if kind in ("ready", "cycles"):
        if kind == "cycles" and store.rings():
            kind = "ready"
        return [kind], getattr(store, kind)
    if kind == "mine":
        return ["mine", "--session", session], lambda: store.mine(session)
    if kind in ("show", "release", "finish", "tree"):
        return [kind, name], lambda: getattr(store, kind)(name)
    if kind == "claim":
        return ["claim", name, "--session", session], lambda: store.claim(name, session)
    if kind == "close":
        return ["close", name] + rng.choice([[], ["--reason", "done elsewhere"]]), lambda: store.close(name)
    if kind in ("block", "unblock"):
        return [kind, name, other], lambda: getattr(store, kind)(name, other)
    if kind == "label":
        action = rng.choice(["add", "add", "add", "remove", "set"])
        return ["label", name, action, label], lambda: store.label(name, action, label)
    if kind == "priority":
        priority = rng.randrange(6)
        return ["priority", name, str(priority)], lambda: store.priority(name, priority)
    if kind == "comment":
        author = rng.choice([None, "Zoë"])
        return (["comment", name, "said"] + (["--author", author] if author else []),
                lambda: store.comment(name, "said", author or "anonymous"))
    if kind == "delete":
        carried = [i for i in store.issues.values() if label in i["labels"]]
        which = rng.choice(["label", "prefix", "both"]) if len(carried) < 2 else "both"
        prefix = label if which != "label" else None
        if which == "prefix" and sum(any(k.startswith(label) for k in i["labels"]) for i in store.issues.values()) > 1:
            which = "both"
        by_label, prefix = {"label": (label, None), "prefix": (None, label), "both": (label, label)}[which]
        force = rng.random() < 0.5
        args = ["delete"] + (["--label", by_label] if by_label else []) + (["--label-prefix", prefix] if prefix else [])
        return args + ["--force"] * force, lambda: store.delete(by_label, prefix, force)
    return rng.choice([["claim", name], ["nonsense"], ["priority", name, "high"], ["list", "--nonsense"], ["create"]]), None


def session(rng):
    store, steps = Store(), []
    for _ in range(rng.randint(5, 12)):
        args, run = step(store, rng)
        as_json = rng.random() < 0.35
        if as_json:
            args = rng.choice([["--json"] + args, args + ["--json"]])
        if run is None:
            # What the parser of the command line says is its own affair.
            steps.append([args, 2, "", None])
            continue
        try:
            text, printed = run()
            steps.append([args, 0, printed if as_json else text, ""])
        except Refused as refused:
            steps.append([args, 1, "", f"Error: {refused}\n"])
    return steps


def main():
    rng = random.Random(int(sys.argv[1]))
    for _ in range(int(sys.argv[2])):
        sys.stdout.write(compact(session(rng)))


main()
