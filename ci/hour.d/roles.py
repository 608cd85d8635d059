"""What a client does during the hour. Each writes down what it saw; whether that is right, run.py says."""

import asyncio
import contextlib
import time

from common import NAME, note, said, told


async def steady(client, every, seconds, pauses):
    """Calls a small tool in a rhythm, until the end."""
    number = 0
    while not told("end"):
        if pauses and told("restarting"):
            await said("restarted")
        number += 1
        key, began = f"{NAME}-{number}", time.time()
        try:
            failed, text = await client.call("echo", {"key": key}, seconds=seconds)
            note(call=key, operation="echo", began=began, ok=not failed and text == f"echo {key}", text=text)
        except Exception as error:
            note(call=key, operation="echo", began=began, ok=False, text=f"{type(error).__name__}: {error}"[:300])
        await asyncio.sleep(every)


async def count(client, key, to, every):
    async def progress(number, total, _message):
        note(progress=number, call_of=key)

    began = time.time()
    try:
        failed, text = await client.call("count", {"key": key, "to": to, "every": every}, progress=progress)
        note(call=key, operation="count", began=began, ok=not failed and text == f"counted {key}", text=text)
    except Exception as error:
        note(call=key, operation="count", began=began, ok=False, text=f"{type(error).__name__}: {error}"[:300])


async def long(client, to, every):
    """Calls a tool that takes most of the time until the restart, and one that takes most of the time after it."""
    await count(client, f"{NAME}-1", to, every)
    await said("restarted")
    await count(client, f"{NAME}-2", to, every)
    await said("end")


async def victim(client, to, every):
    """Calls a tool that takes longer than it has a right to."""
    await count(client, f"{NAME}-1", to, every)
    # A server of SDK 1 begins no task any more once one of its sessions has ended.
    await said("end")


async def stray(client):
    """Makes a call that nobody knows of."""
    await count(client, f"{NAME}-1", 1, 0.1)


async def task(client, seconds):
    """Begins a task before the restart, and fetches what came of it after the restart."""
    await said("begin-task")
    key, began = f"{NAME}-1", time.time()
    task = await client.begin({"key": key, "seconds": seconds})
    note(call=key, operation="work", began=began, ok=True, text=task)
    await said("restarted")
    while (status := await asked(client.status(task), "tasks:get")) == "working":
        await asyncio.sleep(1)
    note(status=status)
    await asked(client.result(task), "tasks:result")
    await said("end")


async def asked(answer, operation):
    began = time.time()
    try:
        text = await answer
        note(call=None, operation=operation, began=began, ok=True, text=text)
        return text
    except Exception as error:
        note(call=None, operation=operation, began=began, ok=False, text=f"{type(error).__name__}: {error}"[:300])
        return str(error)


async def listen(client):
    """Hears that the list of tools changed, and asks for the list each time."""
    await client.tools()

    async def hear():
        async for _ in client.changes():
            heard = time.time()
            minutes = [int(name.split("_")[1]) for name in await client.tools() if name.startswith("minute_")]
            note(heard=max(minutes, default=0), at=heard)
        note(stream_ended=True)

    hearing = asyncio.create_task(hear())
    await said("end")
    if hearing.done() and (error := hearing.exception()):
        note(stream_failed=f"{type(error).__name__}: {error}"[:300])
    hearing.cancel()
    with contextlib.suppress(BaseException):
        await hearing


async def play(role, client, arguments):
    await globals()[role](client, **arguments)
    note(done=True)
