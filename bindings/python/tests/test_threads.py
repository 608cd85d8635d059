"""Threads, forks and loops: nobody waits for the interpreter, nothing blocks a loop, and a fork decides nothing."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import threading
import time
import warnings

import pytest

import hardtack
from conftest import AUDIENCE
from hardtack import Call, Guard, Store


def test_eight_threads_decide_at_once_and_each_is_answered(scene):
    with Store.in_memory() as store:
        guard = Guard([scene.issuer.public], AUDIENCE, store)
        answers: list[tuple[int, bool]] = []

        def decide(thread: int) -> None:
            for turn in range(50):
                allowed = turn % 2 == 0
                call = Call.tool("search" if allowed else "delete_page", {"query": f"{thread}/{turn}"})
                try:
                    guard.check(scene.bearer, call)
                    answers.append((thread, allowed))
                except hardtack.Forbidden:
                    answers.append((thread, not allowed))

        threads = [threading.Thread(target=decide, args=(number,)) for number in range(8)]
        [thread.start() for thread in threads]
        [thread.join(60) for thread in threads]
        assert len(answers) == 400 and all(right for _, right in answers)
        assert len(store.records()) == 400


def test_another_thread_goes_on_while_one_decides(scene):
    # Bearers that were never seen: each check costs four signatures, and the interpreter is free meanwhile.
    bearers = [scene.part.present(scene.researcher, AUDIENCE).bearer for _ in range(60)]
    counted, stop = 0, threading.Event()

    def count() -> None:
        nonlocal counted
        while not stop.is_set():
            counted += 1

    import sys

    before = sys.getswitchinterval()
    thread = threading.Thread(target=count)
    sys.setswitchinterval(0.0001)
    try:
        thread.start()
        began = counted
        for bearer in bearers:
            scene.guard.check(bearer, scene.search)
        progress = counted - began
    finally:
        stop.set()
        thread.join(10)
        sys.setswitchinterval(before)
    assert progress > 1000, progress


def test_what_works_gives_the_interpreter_up():
    # A switch interval of a minute: a thread gets a turn only when the other gives the interpreter up by itself.
    import subprocess
    import sys

    program = """
import sys, threading, time, hardtack as h
sys.setswitchinterval(60)
root, key = h.PrivateKey.generate(), h.PrivateKey.generate()
grant = h.Issuer(root).mint(subject="user:a", scopes="tools:call:*", holder=key.public)
bearers = [grant.present(key, "a.mcp").bearer for _ in range(20)]
guard, call, seen, over = h.Guard([root.public], "a.mcp"), h.Call.tool("x"), [], False
def watch():
    while not over:
        seen.append(1)
        # Gives its own turn up.
        time.sleep(0.0001)
thread = threading.Thread(target=watch); thread.start()
before = len(seen)
for bearer in bearers:
    guard.check(bearer, call)
progress = len(seen) - before
over = True
thread.join()
print(progress)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert int(ran.stdout) >= 5, ran.stdout


def test_decisions_are_awaited_and_none_blocks_the_loop(scene):
    async def run() -> None:
        turns, asked = 0, []

        async def watch() -> None:
            nonlocal turns
            while not asked or not all(one.done() for one in asked):
                await asyncio.sleep(0)
                # Turns that the loop has while not all decisions are answered.
                turns += 1

        with Store.in_memory() as store:
            guard = Guard([scene.issuer.public], AUDIENCE, store)
            bearers = [scene.part.present(scene.researcher, AUDIENCE).bearer for _ in range(200)]
            calls = [scene.search, scene.delete] * 100
            before = threading.active_count()
            asked += [guard.check_async(bearer, call) for bearer, call in zip(bearers, calls)]
            # Whoever blocked the loop would have all of them answered by now.
            assert not any(one.done() for one in asked)
            assert threading.active_count() == before
            watching = asyncio.create_task(watch())
            answers = await asyncio.gather(*asked, return_exceptions=True)
            await watching
            kinds = [type(answer) for answer in answers]
            assert kinds == [hardtack.Permit, hardtack.Forbidden] * 100
            assert len(store.records()) == 200
        assert turns >= 20, turns

    asyncio.run(run())


def test_who_gives_up_waiting_is_left_in_peace_and_the_decision_stands(scene):
    async def run(store: Store) -> None:
        guard = Guard([scene.issuer.public], AUDIENCE, store)
        tasks = [asyncio.ensure_future(guard.check_async(scene.bearer, scene.search)) for _ in range(20)]
        [task.cancel() for task in tasks]
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(answer, asyncio.CancelledError) for answer in answers)
        assert (await guard.check_async(scene.bearer, scene.search)).subject == "user:alice"

    with Store.in_memory() as store:
        asyncio.run(run(store))
        deadline = time.monotonic() + 10
        while len(store.records()) < 21 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(store.records()) == 21

    # A loop that is closed meanwhile takes no answer, and nobody is hurt.
    async def begin() -> None:
        scene.guard.check_async(scene.part.present(scene.researcher, AUDIENCE).bearer, scene.search)

    asyncio.run(begin())
    time.sleep(0.2)
    asyncio.run(run_once(scene))
    with pytest.raises(RuntimeError):
        scene.guard.check_async(scene.bearer, scene.search)


async def run_once(scene) -> None:
    assert (await scene.guard.check_async(scene.bearer, scene.search)).agent == "agent.researcher"


def test_more_than_are_looked_at_are_refused_and_the_places_come_back(scene):
    async def run() -> None:
        def ask() -> list:
            asked = []
            for _ in range(6000):
                try:
                    asked.append(scene.guard.check_async(scene.bearer, scene.search))
                except hardtack.Unavailable as refusal:
                    asked.append(refusal)
            return asked

        # The loop has no turn meanwhile; what is decided meanwhile gives its place back.
        asked = ask()
        waiting = [one for one in asked if not isinstance(one, hardtack.Unavailable)]
        assert all(permit.subject for permit in await asyncio.gather(*waiting))
        assert {one.cause for one in asked if isinstance(one, hardtack.Unavailable)} <= {"overloaded"}
        assert (await scene.guard.check_async(scene.bearer, scene.search)).subject == "user:alice"

    asyncio.run(run())


def in_fork(work) -> list[str]:
    """What a forked child of this process gets of each work: `allowed`, or the cause."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Since 3.12, Python warns of forks beside threads. That is what is tried here.
        warnings.simplefilter("ignore")
        child = os.fork()
    if child == 0:
        said = []
        for one in work:
            try:
                one()
                said.append("allowed")
            except hardtack.Error as error:
                said.append(error.cause)
            except BaseException as error:  # noqa: BLE001
                said.append(repr(error))
        os.write(writing, "\n".join(said).encode())
        os._exit(0)
    os.close(writing)
    deadline = time.monotonic() + 20
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, 9)
            os.waitpid(child, 0)
            os.close(reading)
            pytest.fail("the child does not end")
        time.sleep(0.01)
    said = os.read(reading, 65536).decode().split("\n")
    os.close(reading)
    return said


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no forks")
def test_a_forked_child_decides_and_revokes_nothing_with_what_its_parent_made(scene, tmp_path):
    path = tmp_path / "a.store"
    store = Store.create(path)
    recorded = Guard([scene.issuer.public], AUDIENCE, store)
    recorded.check(scene.bearer, scene.search)
    presenter = hardtack.Presenter(scene.part, scene.researcher)
    asyncio.run(run_once(scene))

    async def awaited() -> None:
        await Guard([scene.issuer.public], AUDIENCE).check_async(scene.bearer, scene.search)

    lost = hardtack.Revocation.agent("agent.researcher")
    said = in_fork([
        lambda: recorded.check(scene.bearer, scene.search),
        lambda: scene.guard.check(scene.bearer, scene.search),
        lambda: scene.guard.admit(scene.bearer),
        lambda: scene.guard.explain(scene.bearer, scene.search),
        lambda: presenter.session(AUDIENCE),
        lambda: store.revoke(lost, by="user:admin", reason="lost"),
        lambda: asyncio.run(awaited()),
        # What the child makes itself is its own.
        lambda: Guard([scene.issuer.public], AUDIENCE).check(scene.bearer, scene.search),
        lambda: scene.part.present(scene.researcher, AUDIENCE),
        lambda: hardtack.Presenter(scene.part, scene.researcher).session(AUDIENCE),
    ])
    refused = ["unfinished", "unfinished", "unfinished", "store_forked", "store_forked"]
    assert said[:5] == refused
    assert said[5] in ("store_forked", "not_revoked")
    assert said[6:] == ["unfinished", "allowed", "allowed", "allowed"]
    # The parent goes on, and has none of it in its store.
    recorded.check(scene.bearer, scene.search)
    assert [record["decision"] for record in store.records()] == ["allow", "allow"]
    store.close()


def child_of_spawn(text: str, root: str, queue) -> None:
    guard = Guard([root], AUDIENCE)
    queue.put(guard.check(text, Call.tool("search")).subject)


def test_a_process_that_is_started_anew_decides(scene):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=child_of_spawn, args=(scene.bearer, str(scene.issuer.public), queue))
    process.start()
    assert queue.get(timeout=60) == "user:alice"
    process.join(60)


def resident() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="this system does not tell its memory")
def test_a_hundred_thousand_checks_take_no_more_memory(scene):
    calls = [scene.search, scene.delete]

    def checks(times: int) -> None:
        for turn in range(times):
            try:
                scene.guard.check(scene.bearer, calls[turn % 50 == 0])
            except hardtack.Forbidden:
                pass

    checks(int(os.environ.get("HARDTACK_CHECKS", 100_000)) // 5)
    gc.collect()
    before = resident()
    checks(int(os.environ.get("HARDTACK_CHECKS", 100_000)))
    gc.collect()
    assert resident() - before < 2 * 1024 * 1024
