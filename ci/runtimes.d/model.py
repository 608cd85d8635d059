"""A model that is none: it asks for `search`, then for `delete_page`, then says what it was told.

Speaks as much of three protocols as the runtimes of docs/runtimes.md need: OpenAI's responses and chat completions,
and Anthropic's messages. Prints its address as one line, and writes to the file named first what each request offered
(the tools) and brought back (the results of tools): that is what a model sees of a refusal.
"""

import http.server
import json
import sys
import time

CALLS = [("search", {"query": "roadmap"}), ("delete_page", {"id": "roadmap"})]


def text_of(content):
    """What a model reads in a tool's result, of which each protocol has its own forms."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return " ".join(text_of(part) for part in content)
    if isinstance(content, dict):
        return text_of(content.get("text") or content.get("content") or content.get("output") or "")
    return ""


def results_of(body):
    """The results that came back, in order."""
    for item in body.get("input") or []:
        if isinstance(item, dict) and item.get("type") == "function_call_output":
            yield text_of(item["output"])
    for message in body.get("messages") or []:
        if message["role"] == "tool":
            yield text_of(message["content"])
        elif isinstance(message["content"], list):
            for part in message["content"]:
                if part.get("type") == "tool_result":
                    yield text_of(part)


def offered(body):
    return [tool.get("name") or tool.get("function", {}).get("name") for tool in body.get("tools") or []]


def answer_to(body):
    """The next thing to say: ("call", name, arguments) or ("text", text)."""
    names = [name for name in offered(body) if name]
    ours = [name for name in names if name.endswith("search")]
    results = list(results_of(body))
    if not ours or len(results) >= len(CALLS):
        return "text", "I was told: " + "; ".join(results)
    name, arguments = CALLS[len(results)]
    # Runtimes put their own words before a name. One that is not offered is asked for all the same.
    ours = min(ours, key=len) if "mcp__notion__search" not in ours else "mcp__notion__search"
    return "call", ours.removesuffix("search") + name, arguments


def responses(body, answer):
    identity = f"resp_{time.monotonic_ns()}"
    if answer[0] == "text":
        part = {"type": "output_text", "text": answer[1], "annotations": [], "logprobs": []}
        item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
    else:
        item = {"type": "function_call", "id": "fc_1", "call_id": f"call_{identity}", "status": "completed"}
        item |= {"name": answer[1], "arguments": json.dumps(answer[2])}
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    usage |= {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    whole = {"id": identity, "object": "response", "created_at": int(time.time()), "model": body["model"]}
    whole |= {"status": "completed", "output": [item], "usage": usage, "error": None, "incomplete_details": None}
    whole |= {"parallel_tool_calls": False, "tool_choice": "auto", "tools": [], "instructions": None, "metadata": {}}
    if not body.get("stream"):
        return whole
    at = {"output_index": 0, "item_id": item["id"]}
    events = [
        {"type": "response.created", "response": whole | {"status": "in_progress", "output": [], "usage": None}},
        {"type": "response.output_item.added", "output_index": 0, "item": item | {"status": "in_progress"}},
    ]
    if answer[0] == "text":
        events += [{"type": "response.output_text.delta", "content_index": 0, "delta": answer[1], "logprobs": [], **at}]
    else:
        events[1]["item"] = events[1]["item"] | {"arguments": ""}
        events += [{"type": "response.function_call_arguments.delta", "delta": item["arguments"], **at}]
        events += [{"type": "response.function_call_arguments.done", "arguments": item["arguments"], **at}]
    events += [{"type": "response.output_item.done", "output_index": 0, "item": item}]
    events += [{"type": "response.completed", "response": whole}]
    return [(event["type"], event | {"sequence_number": number}) for number, event in enumerate(events)]


def completions(body, answer):
    if answer[0] == "text":
        message, finish = {"role": "assistant", "content": answer[1]}, "stop"
    else:
        function = {"name": answer[1], "arguments": json.dumps(answer[2])}
        call = {"index": 0, "id": f"call_{time.monotonic_ns()}", "type": "function", "function": function}
        message, finish = {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    whole = {"id": "chat_1", "created": int(time.time()), "model": body["model"]}
    if not body.get("stream"):
        choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
        return whole | {"object": "chat.completion", "choices": [choice], "usage": usage}
    whole["object"] = "chat.completion.chunk"
    first = {"index": 0, "delta": message, "finish_reason": None}
    last = {"index": 0, "delta": {}, "finish_reason": finish}
    chunks = [whole | {"choices": [first]}, whole | {"choices": [last]}, whole | {"choices": [], "usage": usage}]
    return [(None, chunk) for chunk in chunks] + [(None, "[DONE]")]


def messages(body, answer):
    if answer[0] == "text":
        block, stop = {"type": "text", "text": answer[1]}, "end_turn"
        empty, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": answer[1]}
    else:
        block = {"type": "tool_use", "id": f"toolu_{time.monotonic_ns()}", "name": answer[1], "input": answer[2]}
        empty, stop = block | {"input": {}}, "tool_use"
        delta = {"type": "input_json_delta", "partial_json": json.dumps(answer[2])}
    usage = {"input_tokens": 1, "output_tokens": 1}
    whole = {"id": f"msg_{time.monotonic_ns()}", "type": "message", "role": "assistant", "model": body["model"]}
    whole |= {"content": [block], "stop_reason": stop, "stop_sequence": None, "usage": usage}
    if not body.get("stream"):
        return whole
    start = {"type": "message_start", "message": whole | {"content": [], "stop_reason": None}}
    events = [
        start,
        {"type": "content_block_start", "index": 0, "content_block": empty},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": usage},
        {"type": "message_stop"},
    ]
    return [(event["type"], event) for event in events]


PROTOCOLS = {"/responses": responses, "/chat/completions": completions, "/messages": messages}


class Model(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or "{}")
        path = self.path.split("?")[0]
        protocol = next((speak for end, speak in PROTOCOLS.items() if path.endswith(end)), None)
        if protocol is None:
            return self.answer(404, "application/json", b'{"error": {"message": "not here"}}')
        answer = answer_to(body)
        seen = {"path": path, "offered": offered(body), "results": list(results_of(body)), "answer": answer}
        with open(sys.argv[1], "a") as log:
            log.write(json.dumps(seen) + "\n")
        said = protocol(body, answer)
        if isinstance(said, dict):
            return self.answer(200, "application/json", json.dumps(said).encode())
        lines = ""
        for event, data in said:
            data = data if isinstance(data, str) else json.dumps(data)
            lines += (f"event: {event}\n" if event else "") + f"data: {data}\n\n"
        self.answer(200, "text/event-stream", lines.encode())

    def do_GET(self):
        self.answer(404, "application/json", b"{}")

    def do_HEAD(self):
        self.answer(404, "application/json", b"")

    def answer(self, status, kind, content):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
