"""Puts messages to a gateway and to the readers of other languages, and compares what each reads.

    run.py BINARY READERS

BINARY is hardtack, READERS what readers.c was built to. A message that the gateway forwards must be read by every reader
as it was judged; one that any reader reads otherwise must not be forwarded. Ends with a table, and with 1 if anything did not
hold, or if some reader never read otherwise, for then nothing was tried.
"""

import http.client
import http.server
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import unicodedata

# What a reader makes of a text that it does not read, or reads in two ways.
NONE, AMBIGUOUS = "NONE", "AMBIGUOUS"

# The members that servers look for, and that nobody may spell otherwise.
FIELDS = ["jsonrpc", "id", "method", "params"]
PARAMS = ["name", "arguments", "task", "_meta"]

# What stands in names: at which some reader ends them, which some leave out, or take for something else.
SIGNS = [*range(0x21), 0x7F, *range(0x80, 0xA1), 0xAD, 0x34F, 0x61C, 0x115F, 0x180E, *range(0x2000, 0x2010),
         *range(0x2028, 0x2030), 0x205F, *range(0x2060, 0x2070), 0x2800, 0x3000, 0x3164, 0xFE00, 0xFE0F, 0xFEFF, 0xFFA0,
         0xFFF9, 0xFFFF, 0xE000, 0xE0041, 0xE0100, 0x10FFFF]

PAIRS = [("amount", "Amount"), ("sum", "\u017fum"), ("key", "\u212aey"), ("id", "\u0130d"), ("id", "\u0131d"),
         ("stra\xdfe", "strasse"), ("\u03c3", "\u03c2"), ("zo\xeb", "zoe\u0308"), ("\ufb01le", "file"),
         ("amount", "\uff21mount"), ("amount", "amount ")]


def escaped(text):
    return json.dumps(text)


def messages():
    """(what is tried, the text of a tools/call)"""
    def message(params):
        return f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}'

    def calls(arguments):
        return message(f'{{"name":"search","arguments":{arguments}}}')

    for sign in SIGNS:
        for name in (f"amount{chr(sign)}", f"amount{chr(sign)}x", f"am{chr(sign)}ount", f"{chr(sign)}amount"):
            for written in {escaped(name), json.dumps(name, ensure_ascii=False) if sign >= 0x20 else escaped(name)}:
                if sign in (0x85, 0x2028, 0x2029) and not written.isascii():
                    continue  # Readers here are given a line each.
                yield f"U+{sign:04X}", calls(f'{{"amount":5,{written}:6}}')
                yield f"U+{sign:04X}", calls(f'{{{written}:6,"amount":5}}')
                yield f"U+{sign:04X}", calls(f'{{{written}:6}}')
                yield f"U+{sign:04X}", calls(f'{{"a":[{{"b":{{{written}:6,"amount":5}}}}]}}')
        field = escaped(f"name{chr(sign)}")
        yield f"U+{sign:04X}", message(f'{{"name":"search",{field}:"delete_page","arguments":{{}}}}')
        yield f"U+{sign:04X}", message(f'{{{field}:"delete_page","name":"search","arguments":{{}}}}')
        # In a value it is a value.
        if sign:
            yield "values", calls(f'{{"amount":{escaped("5" + chr(sign) + "x")},"b":[{escaped(chr(sign))}]}}')
    for one, other in PAIRS:
        for first, second in ((one, other), (other, one)):
            yield "pairs", calls(f'{{{escaped(first)}:5,{escaped(second)}:6}}')
            yield "pairs", calls(f'{{"a":[{{{escaped(first)}:5,{escaped(second)}:6}}]}}')
    yield "twice", calls('{"a":5,"a":6}')
    yield "twice", calls('{"a":5,"\\u0061":6}')
    yield "twice", message('{"name":"search","name":"delete_page"}')
    for field in ("Name", "NAME", "nam\uff45", "n\u0430me"):
        yield "fields", message(f'{{"name":"search",{escaped(field)}:"delete_page","arguments":{{}}}}')
    for arguments in ('{}', '{"a":1,"b":{"a":1,"c":[{"a":1},{"a":2}]}}', '{"":1}', '{"$ref":1,"a.b":2,"a/b":3,"a b":4}',
                      '{"\u540d\u524d":1,"Zo\xeb":2}', '{"__proto__":1}', '{"a":[1.5,-0.25,1e3,true,null,"x\\ny"]}'):
        yield "plain", calls(arguments)


def strictly(pairs):
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("twice")
    return members


def folded(name):
    """The rule of Go's encoding/json, by which a field is found: each letter stands for all that simple folding makes
    equal (K, k and the Kelvin sign; S, s and the long s)."""
    simple = [c.casefold() if len(c.casefold()) == 1 else c for c in name]
    return "".join(simple)


def by_go(text):
    """Members are found without looking at capitals, and the last of them counts."""
    def members(pairs):
        found = {}
        for name, value in pairs:
            known = next((field for field in FIELDS + PARAMS if folded(field) == folded(name)), None)
            same = known or next((other for other in found if folded(other) == folded(name)), name)
            found[same] = value
        return found
    return json.loads(text, object_pairs_hook=members)


def by_nfkc(text):
    """Python's own identifiers, and stores that keep names in a normal form (databases, file systems)."""
    normal = lambda pairs: {unicodedata.normalize("NFKC", name): value for name, value in pairs}
    return json.loads(text, object_pairs_hook=normal)


class Upstream(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One packet an answer: in two, each would wait for the other side to acknowledge the first.
    wbufsize = 65536
    seen = []

    def do_POST(self):
        Upstream.seen.append(self.rfile.read(int(self.headers["content-length"])).decode())
        answer = b'{"jsonrpc":"2.0","id":1,"result":{"content":[]}}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def forwarded(binary, texts):
    """For each text, whether the server behind a real gateway got it, byte for byte."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)

        def hardtack(*arguments, given=""):
            done = subprocess.run([binary, *arguments], input=given, capture_output=True, text=True, cwd=folder, timeout=30)
            if done.returncode:
                sys.exit(f"hardtack {arguments[0]}: {done.stderr}")
            return done.stdout.strip()

        root = hardtack("keygen", "--out", "root.key")
        grant = hardtack("mint", "--key", "root.key", "--subject", "user:alice", "--scope", "tools:call:*", "--new-holder", "a.key")
        bearer = hardtack("present", "--key", "a.key", "--audience", "readers.mcp", given=grant)
        hardtack("store", "create", "readers.store")
        behind = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
        threading.Thread(target=behind.serve_forever, daemon=True).start()
        gateway = subprocess.Popen(
            [binary, "gateway", "--listen", "127.0.0.1:0", "--upstream", f"http://127.0.0.1:{behind.server_port}/mcp",
             "--audience", "readers.mcp", "--root", root, "--store", "readers.store", "--log-format", "json"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=folder)
        try:
            first = gateway.stdout.readline()
            if "listens on" not in first:
                sys.exit(f"the gateway did not start: {first}")
            port = int(first.rsplit(":", 1)[1].split("/")[0])
            threading.Thread(target=lambda: [None for _ in gateway.stdout], daemon=True).start()
            passed = []
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            headers = {"content-type": "application/json", "accept": "application/json, text/event-stream",
                       "authorization": f"Bearer {bearer}"}
            for text in texts:
                Upstream.seen.clear()
                connection.request("POST", "/mcp", text.encode(), headers)
                answer = connection.getresponse()
                answer.read()
                if (answer.status == 200) != (Upstream.seen == [text]) or answer.status not in (200, 400):
                    sys.exit(f"the gateway answered {answer.status} and forwarded {Upstream.seen}: {text}")
                passed.append(answer.status == 200)
            return passed
        finally:
            gateway.terminate()
            gateway.wait(timeout=30)
            behind.shutdown()


def read_by(command, texts):
    done = subprocess.run(command, input="\n".join(texts) + "\n", capture_output=True, text=True, timeout=60, check=True)
    lines = done.stdout.split("\n")[:-1]
    if len(lines) != len(texts):
        sys.exit(f"{command[0]} read {len(lines)} of {len(texts)} texts")
    return lines


def said(line):
    """What a reader wrote, as it would be read from there: members that it has twice are two."""
    if line in (NONE, AMBIGUOUS):
        return line
    try:
        return json.loads(line, object_pairs_hook=strictly)
    except ValueError:
        return AMBIGUOUS


def main(binary, readers):
    tried = list(messages())
    texts = [text for _, text in tried]
    passed = forwarded(binary, texts)
    views = {
        "cJSON": [said(line) for line in read_by([readers, "cjson"], texts)],
        "json-c": [said(line) for line in read_by([readers, "json-c"], texts)],
        "Node": [said(line) for line in read_by(["node", str(pathlib.Path(__file__).with_name("reader.mjs"))], texts)],
        "Python": [json.loads(text) for text in texts],
        "Go's rule": [by_go(text) for text in texts],
        "NFKC": [by_nfkc(text) for text in texts],
    }
    wrong, otherwise = [], dict.fromkeys(views, 0)
    for at, (what, text) in enumerate(tried):
        try:
            judged = json.loads(text, object_pairs_hook=strictly)
        except ValueError:
            judged = None
        for reader, view in views.items():
            same = judged is not None and view[at] == judged
            otherwise[reader] += not same
            if passed[at] and not same:
                wrong.append(f"{what}: {reader} reads {view[at]!r} of {text!r}")
        # What is plain, or a value, is not refused.
        if not passed[at] and what in ("plain", "values"):
            wrong.append(f"{what}: refused: {text!r}")
        if passed[at] and what == "twice":
            wrong.append(f"{what}: forwarded: {text!r}")
    print(f"{len(texts)} messages: {sum(passed)} forwarded, {len(texts) - sum(passed)} refused")
    for reader, count in otherwise.items():
        print(f"{reader:>10} reads {count} otherwise than they were written")
        if not count:
            wrong.append(f"{reader} read everything as it was written: nothing was tried")
    for line in wrong[:20]:
        print("WRONG", line)
    print(f"{len(wrong)} wrong" if wrong else "what is forwarded is read alike by all")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
