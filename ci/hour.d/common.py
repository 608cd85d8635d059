"""What the upstreams and the clients of the hour share: their notes, how long they wait, and what reached a server."""

import asyncio
import json
import os
import pathlib
import socket
import time

# The driver makes files in this folder, by which it says how far it is; everybody writes what happened there.
FOLDER = pathlib.Path(os.environ["HOUR_FOLDER"])
NAME = os.environ["HOUR_NAME"]
notes = open(FOLDER / f"{NAME}.notes", "a", buffering=1)


def note(**what):
    notes.write(json.dumps({"t": time.time(), **what}) + "\n")


async def said(name):
    """Waits until the driver said something, such as that the gateway is back."""
    while not (FOLDER / name).exists():
        await asyncio.sleep(0.1)


def told(name):
    return (FOLDER / name).exists()


async def change_lists(change):
    """Changes the list of tools in a rhythm, and once more whenever the driver asks for it."""
    every, number, asked = float(os.environ["HOUR_EVERY"]), 0, 0
    following = time.time() + every
    while True:
        await asyncio.sleep(0.1)
        extra = told(f"change-{asked + 1}")
        if time.time() < following and not extra:
            continue
        if extra:
            asked += 1
        else:
            following += every
        number += 1
        # With --break quiet, two changes are told to nobody.
        tells = os.environ["HOUR_BREAK"] != "quiet" or not 3 <= number <= 4
        await change(number, lambda: note(change=number, extra=bool(extra)), tells)


class Wire:
    """Writes down the requests that reach a server, before it sees them, and those whose client hung up."""

    def __init__(self, app):
        self.app, self.number = app, 0

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        self.number += 1
        number, messages, body = self.number, [], b""
        while True:
            messages.append(await receive())
            body += messages[-1].get("body", b"")
            if messages[-1]["type"] != "http.request" or not messages[-1].get("more_body"):
                break
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            message = json.loads(body)
        except ValueError:
            message = {}
        params = message.get("params") or {}
        note(
            request=number,
            http=scope["method"],
            method=message.get("method"),
            session=headers.get("mcp-session-id"),
            after=headers.get("last-event-id"),
            call=(params.get("arguments") or {}).get("key") or params.get("requestId"),
            token="authorization" in headers,
            id=message.get("id"),
        )
        complete = False

        async def receive_again():
            return messages.pop(0) if messages else await receive()

        async def send_and_see(message):
            nonlocal complete
            if message["type"] == "http.response.body" and not message.get("more_body"):
                complete = True
            await send(message)

        try:
            await self.app(scope, receive_again, send_and_see)
        finally:
            if not complete:
                note(hung_up=number)


def listening():
    """A socket of this machine's, whose port is printed once clients can connect."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    print(listener.getsockname()[1], flush=True)
    return listener


class EventsInMemory:
    """All events of one session, as the SDKs' interface of event stores asks for them; `event` is the SDK's class."""

    event = None

    def __init__(self):
        self.events = []

    async def store_event(self, stream_id, message):
        self.events.append((stream_id, message))
        return str(len(self.events))

    async def replay_events_after(self, last_event_id, send_callback):
        last = int(last_event_id)
        stream = self.events[last - 1][0]
        for number, (stream_id, message) in enumerate(list(self.events), start=1):
            if number > last and stream_id == stream and message is not None:
                await send_callback(self.event(message, str(number)))
        return stream
