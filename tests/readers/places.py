"""Draws paths, URLs and names, asks Hardtack of each, and asks the readers of Python and Node where it leads.

    places.py JUDGE [SEED]

JUDGE is what judge.rs was built to. No text that is said to be in the folder, at the site or of the pattern may lead a reader out
of it, and none that is said to be outside may lead a reader in. Ends with figures, and with 1 if anything did not hold, or if
nothing was tried.
"""

import collections
import functools
import json
import multiprocessing
import ntpath
import os.path
import pathlib
import posixpath
import random
import re
import shlex
import subprocess
import sys
import unicodedata
import urllib.parse

FORMS = ["NFC", "NFD", "NFKC", "NFKD"]
PATHS, URLS, NAMES = 200_000, 60_000, 100_000
FOLDER, SITE, HOST = "/srv/data", "https://api.example.com/v1", "api.example.com"
PATTERNS = ["report-*.pdf", "**.exe", "docs/*/x?.txt", "secret*", "*.pdf", "*/*/x1.txt", "docs/**", "Zo\xeb*.exe"]
SEED = 20261129

# What stands in names. `a` and the like stand often, or nothing would be accepted.
PLAIN = ["a", "b1", "report", "x.txt", "data", "v1", "\u65e5\u672c", "Zo\xeb", "my file", "e\u0301"]
NASTY = ["..", ".", "...", " ", "\t", ";", ";x", ",", ":", ":x", "C:", "c:", "::$DATA", "#", "?", "*", "%", "%2e", "%2E", "%2f", "%5c",
         "%252e", "%252f", "%20", "%09", "%00", "%3b", "%c0%ae", "%u002e", "%EF%BC%8E", "%E3%80%82", "%EF%BC%85", "%E2%80%8D", "%\u65e52f", "%'2e", "%\ufe0f2f",
         "\\", "\0", "\n", "\x7f", "\xa0", "\u3000", "\u2003", "\u200b", "\u200c", "\u200d", "\ufe0f", "\xad", "\ufeff", "\u202e",
         "\uff0e", "\uff0f", "\uff3c", "\uff1a", "\uff1b", "\uff05", "\ufe6a", "\u2024", "\u2025", "\u2026", "\u3002", "\uff61",
         "\u2044", "\u2215", "\u2100", "\xbd", "\u2488", "\xa8", "\u0301", "\u20dd", "\xa5", "'", '"', "`", "~", "~1", "$", "&", "|",
         "<", ">", "+", "-", "_", "\u212a", "\u017f", "\u0130", "\ufb01", "\u1f468", "\u2460", "\xb9", "\U0001f600", "e\u0301", "=\u0338",
         "\xe9", "\u0306", "&x", "&", "|x", "%26", "%2B", "%u0065", "%2565", "'x'", '"/', "\u65e5/", "NUL", "con.", "COM1", "aux", ".exe"]


def piece(draw):
    return draw.choice(PLAIN) if draw.random() < 0.55 else draw.choice(NASTY)


def name(draw):
    if draw.random() < 0.45:
        return draw.choice(PLAIN)
    return "".join(piece(draw) for _ in range(draw.choice([1, 1, 1, 2, 2, 3, 4])))


def below(draw):
    return "/".join(".." if draw.random() < 0.12 else name(draw) for _ in range(draw.randint(1, 5)))


def paths(draw):
    while True:
        start = draw.choices(["/srv/data/", "/srv/data", "/srv/", "/", "", "//srv/data/", "C:/srv/data/"], [80, 5, 6, 4, 1, 1, 1])[0]
        yield start + below(draw) if draw.random() < 0.97 else f"/srv/{name(draw)}data{name(draw)}/a"


def urls(draw):
    safe = "-._~!$&'()*+,;=:@%/"
    while True:
        site = draw.choices([SITE + "/", SITE, f"https://{HOST}/", f"https://{HOST}", f"https://user@{HOST}/v1/", f"https://{HOST}:443/v1/",
                             f"https://{HOST}.evil.example/v1/", f"http://{HOST}/v1/", f" https://{HOST}/v1/"],
                            [80, 5, 5, 2, 1, 1, 1, 1, 1])[0]
        path = below(draw)
        if draw.random() < 0.85:
            path = urllib.parse.quote(path, safe=safe)
        if draw.random() < 0.15:
            path = path.replace("/", "%2F", 1)
        yield site + path + (f"?q={name(draw)}" if draw.random() < 0.05 else "")


def names(draw):
    starts = ["report-", "report-", "b", "docs/", "secret", "a/", "", "/", "C:", "docs/a/x", "Zo\xeb", "Zoe\u0308", "NUL", "COM\xb9", "'", "\u65e5/"]
    ends = [".pdf", ".pdf", ".exe", ".txt", "", ".EXE", "1.txt", "/a/x1.txt", ".exe&.pdf"]
    while True:
        middle = "".join(piece(draw) for _ in range(draw.choice([0, 1, 1, 2, 3])))
        behind = draw.choice(NASTY) if draw.random() < 0.3 else ""
        yield draw.choice(starts) + middle + draw.choice(ends) + behind


def by_name(change):
    return lambda text: "/".join(change(part) for part in text.split("/"))


def ascii_of(form):
    return lambda text: unicodedata.normalize(form, text).encode("ascii", "ignore").decode()


def latin_of(form):
    return lambda text: unicodedata.normalize(form, text).encode("latin-1", "ignore").decode("latin-1")


def as_word(text):
    """The word that a shell makes of it, if it is one."""
    try:
        words = shlex.split(text)
    except ValueError:
        return text
    return words[0] if len(words) == 1 else text


DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[1-9\xb9\xb2\xb3]|lpt[1-9\xb9\xb2\xb3]) *(\..*|:.*)?", re.I | re.S)


def device(part):
    """What Windows finds of a name that is a device's."""
    found = DEVICE.fullmatch(part)
    return found[1] if found else part


def devices(text):
    """The same of the last name of a path: a device lies in no folder."""
    found = DEVICE.fullmatch(text.rsplit("/", 1)[-1])
    return "//./" + found[1] if found else text


def without_emptied(text):
    """Whoever leaves names out of which nothing is left."""
    return re.sub("/+", "/", text)


# What readers do to a text before they look it up, each alone and one after another.
CHANGES = {
    "unquoted": urllib.parse.unquote,
    "trimmed": str.strip,
    "trimmed names": by_name(str.strip),
    "without blanks and dots behind": by_name(lambda part: part if part in (".", "..") else part.rstrip(". ")),
    "without streams": by_name(lambda part: part.split(":")[0]),
    "without parameters": by_name(lambda part: part.split(";")[0]),
    "without query": lambda text: re.split("[?#]", text)[0],
    "a field of a form": urllib.parse.unquote_plus,
    "plus signs as blanks": lambda text: text.replace("+", " "),
    "NFKC": lambda text: unicodedata.normalize("NFKC", text),
    **{f"ASCII of {form}": ascii_of(form) for form in FORMS},
    **{f"Latin of {form}": latin_of(form) for form in ("NFC", "NFKD")},
    "a word of a shell": as_word,
    "without what is not seen": lambda text: "".join(c for c in text if unicodedata.category(c) != "Cf" and not "\ufe00" <= c <= "\ufe0f"),
    "without quotes": lambda text: text.translate({ord(c): None for c in "'\"`"}),
    "without what Windows refuses": lambda text: text.translate({ord(c): None for c in '<>:"|?*'}),
    "stops of Chinese as dots": lambda text: text.replace("\u3002", ".").replace("\uff61", "."),
}


def seen_by_readers(text, steps):
    """The text as it stands, and after up to `steps` changes: {text: how}."""
    seen, last = {text: "as it stands"}, {text: ""}
    for _ in range(steps):
        new = {}
        for known, how in last.items():
            for what, change in CHANGES.items():
                changed = change(known)
                if changed not in seen:
                    new[changed] = seen[changed] = f"{how}, {what}" if how else what
        last = new
    return seen


def is_below(place, folder):
    return place == folder or place.startswith(folder + "/")


def windows(place):
    return place.replace("\\", "/")


def joined(join, normpath):
    """What whoever joins the names to the folder one by one gets."""
    def read(text):
        if not text.startswith(FOLDER + "/"):
            return None
        return windows(normpath(join(FOLDER, *[part for part in text[len(FOLDER) + 1:].split("/") if part])))
    return read


READERS = {
    "os.path.normpath": os.path.normpath,
    "posixpath.normpath": posixpath.normpath,
    "ntpath.normpath": lambda text: windows(ntpath.normpath(text)),
    "pathlib.PurePosixPath": lambda text: posixpath.normpath(str(pathlib.PurePosixPath(text))),
    "pathlib.PureWindowsPath": lambda text: windows(ntpath.normpath(str(pathlib.PureWindowsPath(text)))),
    "ntpath.join by names": joined(ntpath.join, ntpath.normpath),
    "posixpath.join by names": joined(posixpath.join, posixpath.normpath),
    "urllib.parse.urlsplit": lambda text: posixpath.normpath(urllib.parse.urlsplit("file://" + text).path),
    # Two slashes in front are for a host.
    "urllib.parse.urljoin": lambda text: None if text.startswith("//") else posixpath.normpath(urllib.parse.unquote(
        urllib.parse.urlsplit(urllib.parse.urljoin(f"file://{FOLDER}/", text)).path)),
}


def disagree_on_path(text, inside):
    for seen, how in seen_by_readers(text, 2).items():
        for reader, read in READERS.items():
            try:
                place = read(seen)
            except ValueError:
                continue  # Who does not read it goes nowhere.
            # Whoever refuses to join is asked of the paths that are in the folder only.
            if place is None:
                continue
            found = is_below(place, FOLDER)
            if found != inside and not (how != "as it stands" and not inside and not seen.startswith("/")):
                yield f"{reader}, {how}", place


def disagree_on_url(text, inside):
    for written in {text, text.strip()}:
        try:
            url = urllib.parse.urlsplit(written)
            site = url.scheme == "https" and url.hostname == HOST and url.port is None and "@" not in url.netloc
        except ValueError:
            continue
        for seen, how in seen_by_readers(url.path, 2).items():
            for reader in ("posixpath.normpath", "ntpath.normpath"):
                place = READERS[reader](seen or "/")
                if (site and is_below(place, "/v1")) != inside:
                    yield f"urlsplit, {how}, {reader}", f"{url.netloc} {place}"


# A name that is of a pattern is cut there only behind an ending: AT&T.pdf.
ENDING = re.compile(r"(.*?\.[0-9a-z]*[a-z][0-9a-z]*\s*)[&|<>]", re.I | re.S)


def as_shells_end_it(inside):
    def read(part):
        if not inside:
            return re.split("[&|<>]", part)[0]
        found = ENDING.match(part)
        return found[1] if found else part
    return by_name(read)


def changes_of_names(text, inside):
    """What readers do to names besides."""
    changes = {
        "as shells and queries end it": as_shells_end_it(inside),
        "devices": by_name(device),
        "without a drive": lambda text: re.sub(r"^[^/:]:", "", text),
        # With the trimming that comes with it, whoever empties names of other scripts leaves them out but in front.
        "without emptied names": without_emptied,
        "lower case": str.lower,
        "case folded": str.casefold,
        "normalised": os.path.normpath,
        "normalised by Windows": lambda text: windows(ntpath.normpath(text)),
    }
    # A name that is left out in front leaves a text that begins at the root.
    if inside:
        changes["from here"] = lambda text: text.lstrip("/")
    else:
        changes["at the root"] = lambda text: "/" + text.lstrip("/")
    return changes


def is_foreign(text):
    """Whether a name behind the first has nothing left of it for those who have few letters."""
    stems = (re.sub("[;:?#&|<>][^/]*", "", unicodedata.normalize(form, text)) for form in FORMS)
    return any(name and not name.encode("ascii", "ignore").strip(b" .'\"`<>|*?:%+") for stem in stems for name in stem.split("/")[1:])


@functools.cache
def expression(pattern):
    parts = re.split(r"(\*\*|\*|\?)", pattern)
    return re.compile("".join({"**": ".*", "*": "[^/]*", "?": "[^/]"}.get(part, re.escape(part)) for part in parts), re.S)


def disagree_on_name(text, pattern, inside):
    found = expression(pattern)
    few = inside and (is_foreign(text) or is_foreign(urllib.parse.unquote(text)))
    besides = changes_of_names(text, inside)
    for seen, how in seen_by_readers(text, 2).items():
        for what, change in {"": str, **besides}.items():
            # A name in a script that a reader has no letters for is still a name.
            if few and what and ("ASCII" in how or "Latin" in how):
                continue
            place = change(seen)
            # What has a letter of the pattern's that a reader has no room for is not found by it.
            if not pattern.isascii() and ("ASCII" in how or "case" in what):
                continue
            if bool(found.fullmatch(place)) != inside:
                yield f"{how}, {what}" if what else how, place


def disagree(question):
    kind, operand, text, inside = question
    found = {"path": disagree_on_path, "url": disagree_on_url}.get(kind)
    disagreeing = found(text, inside) if found else disagree_on_name(text, operand, inside)
    return [(text, inside, *found) for found in disagreeing]


def asked(judge, questions):
    functions = {"path": "hardtack_path", "url": "hardtack_url", "name": "hardtack_glob"}
    lines = "".join(json.dumps([functions[kind], operand, text]) + "\n" for kind, operand, text in questions)
    done = subprocess.run([judge], input=lines, capture_output=True, text=True, timeout=300, check=True)
    answers = done.stdout.split()
    if len(answers) != len(questions):
        sys.exit(f"{judge} answered {len(answers)} of {len(questions)} questions")
    return answers


def disagree_in_node(questions):
    lines = "".join(json.dumps([kind, text, inside]) + "\n" for kind, _, text, inside in questions if kind != "name")
    node = subprocess.run(["node", str(pathlib.Path(__file__).with_name("places.mjs"))], input=lines, capture_output=True, text=True,
                          timeout=300, check=True)
    *wrong, tried = [json.loads(line) for line in node.stdout.splitlines()]
    return wrong, tried


def main(judge, seed=SEED):
    draw = random.Random(int(seed))
    questions = []
    for kind, source, count in (("path", paths, PATHS), ("url", urls, URLS), ("name", names, NAMES)):
        drawn = source(draw)
        operands = {"path": [FOLDER], "url": [SITE], "name": PATTERNS}[kind]
        questions += [(kind, draw.choice(operands), next(drawn)) for _ in range(count)]
    questions = list(dict.fromkeys(questions))
    answers = asked(judge, questions)
    wrong = []
    judged = [(*question, answer == "yes") for question, answer in zip(questions, answers) if answer != "unclear"]
    for kind in ("path", "url", "name"):
        said = collections.Counter(answer for question, answer in zip(questions, answers) if question[0] == kind)
        print(f"{sum(said.values())} {kind}s: {said['yes']} inside, {said['no']} outside, {said['unclear']} unclear")
        if min(said["yes"], said["no"], said["unclear"]) < 500:
            wrong.append(f"{kind}s: too few of some answer, so that little was tried")
    with multiprocessing.Pool() as pool:
        in_python = pool.map(disagree, judged, chunksize=500)
    wrong += [f"{text!r}, {'inside' if inside else 'outside'}: {reader} finds {place!r}"
              for found in in_python for text, inside, reader, place in found]
    in_node, tried = disagree_in_node(judged)
    wrong += [f"{text!r}: Node's {reader} finds {place!r}" for text, reader, place in in_node]
    print(f"{len(READERS)} readers of Python, after {len(CHANGES)} changes and each two of them; {len(tried)} of Node, asked {sum(tried.values())} times")
    for line in wrong[:int(os.environ.get("SHOW", 20))]:
        print("WRONG", line)
    print(f"{len(wrong)} wrong" if wrong else "what is inside leads nobody out, what is outside leads nobody in")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
