"""Can a corpus be trusted: are planted near duplicates left out, and planted secrets gone? Used by corpus.py.

Nothing is shared with the code that is judged. Likeness is computed exactly here: the Jaccard index of two documents' sets of
runs of three tokens, where a token is a word (letters, digits, `_`, and any byte above ASCII) or any other byte that is no white
space. Secrets are made and put into lines of several forms here; what the corpus says of them is not asked, its text is searched.

    python dev/bench/corpus_trust.py --check     checks this file's own parts on small cases
"""

import json
import random
import re
import string
import sys
from array import array
from collections import defaultdict

THRESHOLD = 0.8
TOKEN = re.compile(r"[A-Za-z0-9_\u0080-\U0010ffff]+|[^\s]")
BUCKETS = 1 << 20


def shingles(text):
    tokens = TOKEN.findall(text)
    return set(zip(tokens, tokens[1:], tokens[2:]))


def jaccard(one, other):
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared) if shared else 0.0


# Near duplicates are planted by edits as people make them, until a drawn likeness is reached.

COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
FUNCTION = re.compile(r"^[A-Za-z_][^\n;{}()]*\([^;{}]*\)[^;{}\n]*\n?\{\n.*?^\}\n", re.M | re.S)
NAME = re.compile(r"\b[a-z_][A-Za-z0-9_]{3,}\b")
KEYWORDS = set(
    "auto bool break case catch char class const constexpr continue default define delete double else elif endif enum error explicit extern "
    "float friend ifdef ifndef include inline long namespace operator override pragma private protected public return short signed "
    "sizeof static struct switch template this throw typedef typename union unsigned using virtual void volatile while".split())
SYLLABLES = ["al", "bra", "cor", "dun", "el", "fri", "gol", "hex", "ir", "jat", "kul", "lom", "mer", "nok", "op", "pra"]


def word(rng):
    return "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 4)))


def sentence(rng):
    return " ".join(word(rng) for _ in range(rng.randint(3, 14)))


def rename(text, rng, _):
    names = sorted(set(NAME.findall(text)) - KEYWORDS)
    if not names:
        return text
    new = word(rng) + rng.choice(["", "_", "2", "Value", "_count"])
    return re.sub(rf"\b{rng.choice(names)}\b", new, text)


def comment(text, rng, _):
    found = list(COMMENT.finditer(text))
    if not found or rng.random() < 0.3:
        at = [match.end() for match in re.finditer(r";\n", text)]
        place = rng.choice(at) if at else 0
        return text[:place] + f"// {sentence(rng)}\n" + text[place:]
    one = rng.choice(found)
    said = f"// {sentence(rng)}" if one.group().startswith("//") else f"/* {sentence(rng)} */"
    return text[: one.start()] + said + text[one.end():]


def delete(text, rng, _):
    found = list(FUNCTION.finditer(text))
    if not found:
        return text
    one = rng.choice(found)
    return text[: one.start()] + text[one.end():]


def add(text, rng, others):
    found = list(FUNCTION.finditer(rng.choice(others)))
    if not found:
        return text
    at = [0] + [match.end() for match in re.finditer(r"^\}\n", text, re.M)]
    place = rng.choice(at)
    return text[:place] + "\n" + rng.choice(found).group() + text[place:]


def reindent(text, rng, _):
    step = rng.choice(["\t", "   ", "      "])
    return re.sub(r"^(?:  )+", lambda match: step * (len(match.group()) // 2), text, flags=re.M)


def number(text, rng, _):
    found = list(re.finditer(r"\b\d+\b", text))
    if not found:
        return text
    one = rng.choice(found)
    return text[: one.start()] + str(rng.randint(2, 9999)) + text[one.end():]


EDITS = [rename, rename, comment, comment, delete, add, reindent, number]


def planted(text, aim, rng, others):
    """A copy whose likeness is near an aim, and that likeness."""
    original = shingles(text)
    likeness = 1.0
    for _ in range(400):
        if likeness <= aim + 0.005:
            break
        edited = rng.choice(EDITS)(text, rng, others)
        now = jaccard(original, shingles(edited))
        if now >= aim - 0.005:
            text, likeness = edited, now
    return text, likeness


class Likeness:
    """Finds, exactly, the documents of at least 0.8 among those that were added: such a pair shares one of the first shingles
    in any common order, where the first are so many that the others alone cannot make 0.8."""

    def __init__(self, texts):
        self.counts = array("L", [0]) * BUCKETS
        self.sets = []
        for text in texts:
            hashes = frozenset(map(hash, shingles(text)))
            self.sets.append(array("q", sorted(hashes)))
            for one in hashes:
                self.counts[one % BUCKETS] += 1
        self.holders = defaultdict(list)

    def first(self, number):
        """The rarest shingles of a document."""
        hashes = self.sets[number]
        spare = len(hashes) - int(-(-THRESHOLD * len(hashes) // 1)) + 1
        return sorted(hashes, key=lambda one: (self.counts[one % BUCKETS], one))[:spare]

    def add(self, number):
        for one in self.first(number):
            self.holders[one].append(number)

    def best(self, number):
        """The greatest likeness to a document that was added; 0 where none has 0.8."""
        candidates = {other for one in self.first(number) for other in self.holders.get(one, ())}
        own = set(self.sets[number])
        size = len(own)
        near = (other for other in candidates if THRESHOLD * size <= len(self.sets[other]) <= size / THRESHOLD)
        return max((jaccard(own, set(self.sets[other])) for other in near), default=0.0)


def dedup(bench):
    """Plants near duplicates of whole files as a source of their own, builds with and without the search, and judges every
    document that is left out, planted or not."""
    rng = random.Random(bench.arguments.seed)
    folder = bench.out / "planted"
    bench.empty(folder)
    whole = [one for one in map(json.loads, bench.documents(bench.corpus())) if one["kind"] == "file"]
    fit = [one for one in whole if 60 <= len(one["text"].split()) and one["tokens"] <= MAX_PLANTED_TOKENS]
    others = [one["text"] for one in rng.sample(fit, 400)]
    originals = rng.sample(fit, min(bench.arguments.planted, len(fit)))
    truth = {}
    for index, one in enumerate(originals):
        aim = 0.7 + 0.3 * (index + 0.5) / len(originals)
        text, likeness = planted(one["text"], aim, rng, others)
        name = f"p{index:04}-{one['path'].rsplit('/', 1)[-1]}"
        (folder / name).write_text(text, encoding="utf-8", newline="")
        truth[name] = likeness
    extra = [folder]
    every = bench.whole_files(bench.build("dedup-all", extra=["--keep-near-duplicates", *extra])[0])
    kept = {place for place, _ in bench.whole_files(bench.build("dedup", extra=extra)[0])}
    index = Likeness([text for _, text in every])
    right = wrong = missed = 0
    bands = defaultdict(lambda: [0, 0])
    wrongly = []
    for at, ((repo, path), text) in enumerate(every):
        is_kept = (repo, path) in kept
        best = index.best(at)
        is_planted = repo == folder.name or path in truth and repo == "."
        if is_planted:
            band = bands[int(20 * truth[path] + 1e-9) / 20]
            band[0] += 1
            band[1] += not is_kept
        if is_kept:
            index.add(at)
            missed += is_planted and best >= THRESHOLD
        elif best >= THRESHOLD:
            right += is_planted
        else:
            wrong += 1
            wrongly.append(f"{repo}/{path}")
    left_out = len(every) - len(kept)
    recall, precision = right / max(right + missed, 1), 1 - wrong / max(left_out, 1)
    bench.details["dedup"] = {
        "documents": len(every), "left_out": left_out, "planted": len(truth), "near": right + missed, "found": right, "wrong": wrong,
        "bands": {f"{band:.2f}": counts for band, counts in sorted(bands.items())}, "wrongly": wrongly[:20],
    }
    least = min(counts[0] for band, counts in bands.items() if 0.7 <= band < 1.0)
    figure = f"{bench.percent(recall)} ({right} of {right + missed} at J >= 0.8; {len(truth)} planted, J 0.7 to 1.0, at least {least} in each 0.05)"
    bench.claim("planted near duplicates that are left out", figure, ">= 98.0%", recall >= 0.98 and right + missed >= 300)
    figure = f"{bench.percent(precision)} ({left_out - wrong} of {left_out}, planted or not)"
    bench.claim("of what is left out, has J >= 0.8 with a kept one", figure, ">= 99.0%", precision >= 0.99)


MAX_PLANTED_TOKENS = 12_000


# Secrets of every kind, drawn by lot.


def drawn(rng, letters, count):
    while True:
        text = "".join(rng.choice(letters) for _ in range(count))
        if len(set(text)) >= min(8, count - 2) and any(one.isdigit() for one in text):
            return text


ALNUM = string.ascii_letters + string.digits
URL = ALNUM + "-_"
UPPER = string.ascii_uppercase + "234567"
HEX = "0123456789abcdef"
B64 = ALNUM + "+/"


def b64url(rng, count):
    return drawn(rng, ALNUM, count)


def public_address(rng):
    while True:
        parts = [rng.choice([23, 31, 45, 52, 63, 81, 93, 104, 138, 151, 185, 217]), rng.randint(10, 250), rng.randint(10, 250), rng.randint(2, 250)]
        steps = {parts[at + 1] - parts[at] for at in range(3)}
        if len(steps) > 1:
            return ".".join(map(str, parts))


def email(rng):
    local = rng.choice([word(rng), f"{word(rng)}.{word(rng)}", f"{word(rng)}_{rng.randint(1, 99)}", f"{word(rng)}+{word(rng)}", word(rng).title()])
    domain = rng.choice([word(rng), f"mail.{word(rng)}", f"{word(rng)}-{word(rng)}"])
    return f"{local}@{domain}.{rng.choice(['com', 'org', 'net', 'de', 'co.uk', 'io', 'fr', 'edu', 'dev', 'cz'])}"


def private_key(rng):
    kind = rng.choice(["RSA ", "EC ", "", "OPENSSH ", "DSA ", "ENCRYPTED "])
    lines = [drawn(rng, B64, 64) for _ in range(rng.randint(2, 12))] + [drawn(rng, B64, rng.choice([24, 40, 54])) + "=="]
    return kind, lines


TOKENS = {
    "aws": lambda rng: rng.choice(["AKIA", "ASIA"]) + drawn(rng, UPPER, 16),
    "gcp": lambda rng: rng.choice([lambda: "AI" + "za" + drawn(rng, URL, 34) + "x", lambda: "ya29." + drawn(rng, URL, 80) + "q",
                                   lambda: "GOCSPX-" + drawn(rng, URL, 27) + "k"])(),
    "github": lambda rng: rng.choice([lambda: rng.choice(["ghp", "gho", "ghu", "ghs", "ghr"]) + "_" + drawn(rng, ALNUM, 36),
                                      lambda: "github_pat_" + drawn(rng, ALNUM, 22) + "_" + drawn(rng, ALNUM, 59)])(),
    "gitlab": lambda rng: rng.choice(["glpat", "gldt", "glrt"]) + "-" + drawn(rng, ALNUM, 20),
    "slack": lambda rng: rng.choice([
        lambda: f"xox{rng.choice('bpars')}-{rng.randint(10**10, 10**12)}-{rng.randint(10**10, 10**12)}-{drawn(rng, ALNUM, 24)}",
        lambda: f"T{drawn(rng, UPPER, 8)}/B{drawn(rng, UPPER, 10)}/{drawn(rng, ALNUM, 24)}"])(),
    "stripe": lambda rng: rng.choice(["sk_live_", "rk_live_", "sk_test_", "pk_live_"]) + drawn(rng, ALNUM, rng.choice([24, 99])),
    "npm": lambda rng: "npm_" + drawn(rng, ALNUM, 36),
    "pypi": lambda rng: "pypi-AgEIcHlwaS5vcmc" + drawn(rng, URL, 120) + "w",
    "jwt": lambda rng: f"eyJ{b64url(rng, 33)}.eyJ{b64url(rng, rng.randint(40, 120))}.{b64url(rng, 43)}",
    "service": lambda rng: rng.choice([
        lambda: f"SG.{drawn(rng, ALNUM, 22)}.{drawn(rng, ALNUM, 43)}", lambda: "hf_" + drawn(rng, ALNUM, 34),
        lambda: "sk-proj-" + drawn(rng, ALNUM, 48), lambda: "sk-ant-api03-" + drawn(rng, ALNUM, 60),
        lambda: "dop_v1_" + drawn(rng, HEX, 64), lambda: "shpat_" + drawn(rng, HEX, 32), lambda: "dckr_pat_" + drawn(rng, ALNUM, 27),
        lambda: "AGE-SECRET-KEY-1" + drawn(rng, string.ascii_uppercase + string.digits, 58)])(),
}

# Lines that hold a token wherever it means one: `@` stands for it.
FORMS = [
    'static const char *kAuth = "@";', "// rotate @ before the release", "/* was: @ */", '#define AUTH_VALUE "@"',
    'curl_easy_setopt(handle, CURLOPT_USERPWD, "@");', 'std::string auth("@");', 'const char text[] = "first\\n@\\nlast";',
    'auto reply = R"({"value": "@", "more": 1})";', 'log("value=@");', '    {"@", 1},', "// export CI_VALUE=@", "// header: '@'.",
    'send("Authorization: @\\r\\n");', 'printf("%s\\n", "@" "\\t");', "  // see <@>, (@)",
]


def line_of(kind, rng):
    """A line with a secret, and the parts that must be gone."""
    if kind in TOKENS:
        secret = TOKENS[kind](rng)
        if kind == "slack" and secret.startswith("T"):
            return f'// https://hooks.slack.com/services/{secret}', [secret]
        return rng.choice(FORMS).replace("@", secret), [secret]
    if kind == "bearer":
        secret = drawn(rng, ALNUM, 40)
        return f'request.header("Authorization: Bearer {secret}");', [secret]
    if kind == "account":
        secret = drawn(rng, B64, 86) + "=="
        return f'connect("AccountName=x;AccountKey={secret};EndpointSuffix=core");', [secret]
    if kind == "private_key":
        begin, lines = private_key(rng)
        head, foot = f"-----BEGIN {begin}PRIVATE KEY-----", f"-----END {begin}PRIVATE KEY-----"
        form = rng.randint(0, 2)
        if form == 0:
            text = f'static const char kPem[] =\n    "{head}\\n"\n' + "".join(f'    "{one}\\n"\n' for one in lines) + f'    "{foot}\\n";'
        elif form == 1:
            text = 'static const char kPem[] = R"(' + "\n".join([head, *lines, foot]) + ')";'
        else:
            text = "/*\n" + "\n".join(f" * {one}" for one in [head, *lines, foot]) + "\n */"
        return text, lines
    if kind == "url":
        secret = drawn(rng, ALNUM + "!-_.~", rng.randint(8, 24)).replace("!", "-")
        scheme = rng.choice(["postgres", "redis", "https", "amqp", "mongodb+srv", "ftp", "mysql"])
        user = rng.choice([word(rng), "", "svc-" + word(rng)])
        link = f"{scheme}://{user}:{secret}@{word(rng)}.{word(rng)}.net:{rng.randint(80, 9999)}/x"
        return rng.choice(['open("@");', "// via @", '#define REMOTE "@"']).replace("@", link), [secret]
    if kind == "assigned":
        name = rng.choice(["password", "db_password", "api_key", "apiKey", "secret", "client_secret", "auth_token", "access_key", "kApiToken",
                           "SECRET_KEY", "private_key", "user_passwd", "credentials", "signing_key"])
        secret = drawn(rng, ALNUM, rng.randint(20, 40))
        form = rng.choice(['const std::string NAME = "@";', 'NAME("@");', 'config["NAME"] = "@";', '#define NAME "@"', '{"NAME", "@"},',
                           "// NAME: '@'", 'if (NAME == "@") {}', "// NAME=@", '"NAME": "@",', 'setenv("NAME", "@", 1);',
                           'static const char NAME[] = "@";', 'R"({"NAME": "@"})";', '"{\\"NAME\\": \\"@\\"}";'])
        return form.replace("NAME", name).replace("@", secret), [secret]
    if kind == "password":
        secret = "".join([rng.choice(string.ascii_uppercase), drawn(rng, string.ascii_lowercase + string.digits, 5), rng.choice("!#$%&*+-^_"),
                          rng.choice(string.digits), rng.choice(string.ascii_uppercase), rng.choice(string.ascii_lowercase), rng.choice("0123456789")])
        form = rng.choice(['password = "@";', 'const char *db_password = "@";', 'login(user, /*password=*/"@");', 'set_password("@");',
                           "// password: '@'", 'conf["passwd"] = "@";'])
        return form.replace("@", secret), [secret]
    if kind == "email":
        secret = email(rng)
        form = rng.choice(["// by Some One <@>", " * @author @@", 'const char *kOwner = "@";', "// contact @.", "/* mailto:@ */", "// Copyright 2014 X (@)",
                           'say("write to @\\n");', "// @: please look", "# pragma owner @"])
        form = form.replace("@author @@", "\0author @")
        return form.replace("@", secret).replace("\0", "@"), [secret]
    if kind == "ip":
        secret = public_address(rng)
        form = rng.choice(['connect("@", 80);', "// http://@:8080/x", 'const char *host = "@:6379";', "// server @ is down", 'bind_to("@");',
                           "// ssh root\0@", 'addr = "@"; // old', "  listen(@, 443)"])
        return form.replace("@", secret).replace("\0", "@"), [secret]
    secret = f"+{rng.choice([1, 44, 49, 33])} {rng.randint(200, 799)} {rng.randint(200, 799)} {rng.randint(1000, 9999)}"
    if rng.random() < 0.4:
        secret = f"({rng.randint(200, 499)}) {rng.randint(600, 999)}-{rng.randint(1000, 9999)}"
    return rng.choice(["// phone: @", 'const char *tel = "Tel: @";', "// fax @"]).replace("@", secret), [secret]


KINDS = [*TOKENS, "bearer", "account", "private_key", "url", "assigned", "password", "email", "ip", "phone"]


def secrets(bench):
    """Plants secrets into real files and looks for them in the corpus; counts what is replaced in files as they are."""
    rng = random.Random(bench.arguments.seed + 1)
    folder = bench.out / "planted-secrets"
    bench.empty(folder)
    whole = [one for one in map(json.loads, bench.documents(bench.corpus())) if one["kind"] == "file" and one["tokens"] <= MAX_PLANTED_TOKENS]
    hosts = rng.sample(whole, bench.arguments.secrets)
    gone = []
    for index, host in enumerate(hosts):
        kind = KINDS[index % len(KINDS)]
        line, parts = line_of(kind, rng)
        lines = host["text"].split("\n")
        # Behind a line that ends a statement or a comment, so that the file stays a file.
        places = [at + 1 for at, one in enumerate(lines) if one.rstrip().endswith((";", "}", "*/")) and not one.startswith("#")]
        place = rng.choice(places or [0])
        name = f"s{index:04}-{host['path'].rsplit('/', 1)[-1]}"
        (folder / name).write_text("\n".join(lines[:place] + line.split("\n") + lines[place:]), encoding="utf-8", newline="")
        gone.append((kind, name, line, parts))
    flags = ["--keep-near-duplicates", "--keep", "generated,vendored,minified,data"]
    built = bench.build("secrets", sources=folder, extra=flags)[0]
    texts = defaultdict(list)
    for one in map(json.loads, bench.documents(built)):
        texts[one["path"]].append(one["text"])
    everything = "\n".join(text for several in texts.values() for text in several)
    left = [(kind, line) for kind, name, line, parts in gone if any(part in everything for part in parts)]
    absent = [name for _, name, _, _ in gone if name not in texts]
    manifest = json.loads((built / "manifest.json").read_text())
    bench.details["secrets"] = {"left": left, "absent": absent, "redacted": manifest["clean"]["redacted"]}
    figure = f"{len(left)} of {len(gone)} of {len(KINDS)} kinds" + (f", {len(absent)} files have no document" if absent else "")
    bench.claim("planted secrets and personal data left in the corpus", figure, "0", not left and not absent)
    replaced(bench, rng)


PLACEHOLDER = re.compile(r"REDACTED_[A-Z_]+|redacted@example\.com|192\.0\.2\.1(?!\d)|\+1-555-0100")


def replaced(bench, rng):
    """What is replaced in the projects as they are: counted, and some of it shown."""
    before = dict(bench.whole_files(bench.build("secrets-kept", extra=["--keep-secrets"])[0]))
    found = []
    for place, text in bench.whole_files(bench.corpus()):
        original = before.get(place)
        if original is None or original == text:
            continue
        at, last = 0, 0
        pieces = PLACEHOLDER.split(text)
        for piece, placeholder in zip(pieces[1:], PLACEHOLDER.findall(text)):
            at += len(pieces[last])
            last += 1
            # Up to where what follows begins again; at the end, all.
            stop = original.find(piece[:40], at) if piece else len(original)
            if original[at:stop] != placeholder:
                line = original[original.rfind("\n", 0, at) + 1: (original.find("\n", stop) + 1 or len(original) + 1) - 1]
                found.append((placeholder, original[at:stop], "/".join(place), line.strip()))
            at = stop
    sample = rng.sample(found, min(50, len(found)))
    bench.details["replaced"] = {"count": len(found), "sample": sorted(sample)}
    counts = defaultdict(int)
    for placeholder, *_ in found:
        counts[placeholder] += 1
    bench.claim("  replaced in whole files as they are", f"{len(found)}: " + ", ".join(f"{count} {name}" for name, count in sorted(counts.items())), "-", True)


def check():
    rng = random.Random(1)
    assert jaccard(shingles("a b c d"), shingles("a b c e")) == 1 / 3
    assert shingles("a+b") == {("a", "+", "b")} and shingles("größe = x") == {("größe", "=", "x")}
    texts = [" ".join(word(rng) for _ in range(200)) for _ in range(40)]
    texts += [text.replace(text.split()[7], "other") for text in texts]
    index = Likeness(texts)
    for at in range(40):
        assert index.best(at) == 0.0
        index.add(at)
    for at in range(40):
        assert index.best(40 + at) == jaccard(shingles(texts[at]), shingles(texts[40 + at])) or index.best(40 + at) == 0.0
    assert sum(index.best(40 + at) > 0.9 for at in range(40)) >= 30
    for kind in KINDS * 20:
        line, parts = line_of(kind, rng)
        assert parts and all(part in line for part in parts), (kind, line)


if __name__ == "__main__":
    if sys.argv[1:] != ["--check"]:
        sys.exit(__doc__)
    check()
