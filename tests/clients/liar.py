"""An upstream that answers tools/list in odd and broken ways, to see that the gateway's filter cannot be talked past.

The way is chosen by the list's cursor, which a gateway passes on; a tool's way by its argument `how`.
"""

import argparse
import gzip
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOOLS = [{"name": name, "inputSchema": {"type": "object"}} for name in ("search", "delete_page", "liar")]


class Liar(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        message = json.loads(body)
        params = message.get("params") or {}
        entry = {"request": 1, "http": "POST", "path": self.path, "headers": list(self.headers.items())}
        entry |= {"method": message.get("method"), "name": params.get("name"), "body": body.decode()}
        with open(self.server.log, "a") as log:
            log.write(json.dumps(entry) + "\n")

        id = message.get("id")
        if id is None:
            return self.answer(b"", status=202)
        if message["method"] == "initialize":
            hello = {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}}
            hello["serverInfo"] = {"name": "liar", "version": "1"}
            return self.answer(json.dumps({"jsonrpc": "2.0", "id": id, "result": hello}).encode())
        if message["method"] == "tools/list":
            return getattr(self, "list_" + params.get("cursor", "json"))(id)
        if message["method"] == "tools/call":
            return getattr(self, "call_" + params["arguments"].get("how", "json"))(id)
        error = {"code": -32601, "message": "not here"}
        self.answer(json.dumps({"jsonrpc": "2.0", "id": id, "error": error}).encode())

    def do_GET(self):
        self.answer(b"", status=405)

    do_DELETE = do_GET

    def answer(self, body, status=200, **headers):
        self.send_response(status)
        headers = {"Content_Type": "application/json", **headers}
        for name, value in headers.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def events(self, body):
        self.answer(body, Content_Type="text/event-stream")

    @staticmethod
    def tools(id, tools=TOOLS, **more):
        return json.dumps({"jsonrpc": "2.0", "id": id, "result": {"tools": tools, **more}})

    # Sound answers in rarer forms: these must be filtered, and arrive.

    def list_json(self, id):
        self.answer(self.tools(id).encode())

    def list_more_pages(self, id):
        self.answer(self.tools(id, nextCursor="json").encode())

    def list_upper(self, id):
        self.answer(self.tools(id).encode(), Content_Type="APPLICATION/JSON; charset=utf-8")

    def list_event(self, id):
        self.events(f"event: message\ndata: {self.tools(id)}\n\n".encode())

    def list_no_space(self, id):
        self.events(f"data:{self.tools(id)}\n\n".encode())

    def list_split(self, id):
        head, tail = self.tools(id).split(", ", 1)
        self.events(f"data: {head},\ndata: {tail}\n\n".encode())

    def list_crlf(self, id):
        self.events(f"event: message\r\ndata: {self.tools(id)}\r\n\r\n".encode())

    def list_cr(self, id):
        self.events(f"event: message\rdata: {self.tools(id)}\r\r".encode())

    def list_byte_by_byte(self, id):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for byte in f": hello\n\nid: 1\ndata: {self.tools(id)}\n\n".encode():
            self.wfile.write(b"1\r\n" + bytes([byte]) + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def list_escaped_result(self, id):
        self.events(f"data: {self.tools(id)}\n\n".replace('"result"', '"re\\u0073ult"').encode())

    # Unsound answers: what arrives matters little, as long as the tool's name does not and the client does not hang.

    def list_bom(self, id):
        self.answer(b"\xef\xbb\xbf" + self.tools(id).encode())

    def list_bom_event(self, id):
        self.events(b"\xef\xbb\xbf" + f"data: {self.tools(id)}\n\n".encode())

    def list_html(self, id):
        self.answer(self.tools(id).encode(), Content_Type="text/html")

    def list_no_type(self, id):
        self.answer(self.tools(id).encode(), Content_Type=None)

    def list_gzip(self, id):
        self.answer(gzip.compress(self.tools(id).encode()), Content_Encoding="gzip")

    def list_twice(self, id):
        # Two members of one name: which of them counts depends on the reader.
        once, again = json.dumps(TOOLS[:1]), json.dumps(TOOLS)
        self.answer(f'{{"jsonrpc":"2.0","id":{json.dumps(id)},"result":{{"tools":{once},"tools":{again}}}}}'.encode())

    def list_escaped(self, id):
        self.answer(self.tools(id).replace("delete_page", "delete\\u005fpage").encode())

    def odd(self, id, member):
        """A list in which one member is of a kind that some readers take and others do not."""
        return self.tools(id).encode().replace(b'{"type": "object"}', b'{"type": "object", ' + member + b"}", 1)

    def list_bad_utf8(self, id):
        self.answer(self.odd(id, b'"title": "\xff"'))

    def list_bad_utf8_event(self, id):
        self.events(b"data: " + self.odd(id, b'"title": "\xff"') + b"\n\n")

    def list_surrogate(self, id):
        self.answer(self.odd(id, b'"title": "\\ud800"'))

    def list_surrogate_event(self, id):
        self.events(b"data: " + self.odd(id, b'"title": "\\ud800"') + b"\n\n")

    def list_infinite(self, id):
        self.answer(self.odd(id, b'"maximum": 1e999'))

    def list_infinite_event(self, id):
        self.events(b"data: " + self.odd(id, b'"maximum": 1e999') + b"\n\n")

    def list_deep(self, id):
        self.answer(self.odd(id, b'"not": ' + b'{"not": ' * 500 + b"{}" + b"}" * 500))

    def list_deep_event(self, id):
        self.events(b"data: " + self.odd(id, b'"not": ' + b'{"not": ' * 500 + b"{}" + b"}" * 500) + b"\n\n")

    def list_array_event(self, id):
        self.events(f"data: [{self.tools(id)}]\n\n".encode())

    def list_array(self, id):
        self.answer(f"[{self.tools(id)}]".encode())

    def list_garbage(self, id):
        self.answer(b'{"tools": [delete_page')

    def list_two_answers(self, id):
        first = self.tools(id, TOOLS[:1])
        self.events(f"data: {first}\n\ndata: {self.tools(id)}\n\n".encode())

    def list_unfinished(self, id):
        self.events(f"data: {self.tools(id)}".encode())

    def list_redirect(self, id):
        self.answer(b"", status=307, Location=f"http://127.0.0.1:{self.server.server_port}/elsewhere")

    # A tool that is granted, answered badly.

    def call_json(self, id):
        result = {"content": [{"type": "text", "text": "well"}]}
        self.answer(json.dumps({"jsonrpc": "2.0", "id": id, "result": result}).encode())

    def call_half(self, id):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b'{"jsonrpc"')
        self.close_connection = True

    def call_half_events(self, id):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"9\r\nid: 1\ndat\r\n")
        self.close_connection = True

    def call_nothing(self, id):
        self.close_connection = True

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=0)
    arguments.add_argument("--log", required=True)
    options = arguments.parse_args()
    server = Server(("127.0.0.1", options.port), Liar)
    server.log = options.log
    open(options.log, "a").close()
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
