"""What the package takes, in microseconds: least and median. And a warm check beside the same check in a loop of the library's.

Needs a wheel in release that has the feature `measure`:
    maturin build --release --features measure --manifest-path bindings/python/Cargo.toml
"""

import asyncio
import statistics
import time

import hardtack
from hardtack import Call, Guard, Issuer, PrivateKey, Store
from hardtack import _native as native

root, orchestrator, researcher = (PrivateKey.generate() for _ in range(3))
grant = Issuer(root).mint(subject="user:alice", scopes="tools:call:*", holder=orchestrator.public)
call = Call.tool("search", {"query": "roadmap", "limit": 3})


def delegate():
    given = dict(to="agent.researcher", scopes="tools:call:search", reason="find", allow="limit? <= 10")
    return grant.delegate(orchestrator, holder=researcher.public, **given)


def took(name, work, times=500):
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append((time.perf_counter() - began) * 1e6)
    print(f"{name}: {min(taken):.1f} / {statistics.median(taken):.1f}")


part = delegate()
took("delegate", delegate)
took("present for a session", lambda: part.present(researcher, "notion.mcp"))
took("present for a call", lambda: part.present(researcher, "notion.mcp", call))
guard = Guard([root.public], "notion.mcp")
fresh = iter([part.present(researcher, "notion.mcp").bearer for _ in range(300)])
took("check one that was never seen", lambda: guard.check(next(fresh), call), 300)
bearer = part.present(researcher, "notion.mcp").bearer
took("check it again", lambda: guard.check(bearer, call), 3000)
stored = Guard([root.public], "notion.mcp", Store.in_memory())
took("check it again, with a store in memory", lambda: stored.check(bearer, call), 3000)


async def awaited():
    taken = []
    for _ in range(2000):
        began = time.perf_counter()
        await guard.check_async(bearer, call)
        taken.append((time.perf_counter() - began) * 1e6)
    print(f"await it: {min(taken):.1f} / {statistics.median(taken):.1f}")


asyncio.run(awaited())
if hasattr(native, "nanoseconds_of_check"):
    ratios = []
    for _ in range(15):
        began = time.perf_counter()
        for _ in range(3000):
            guard.check(bearer, call)
        python = (time.perf_counter() - began) / 3000 * 1e9
        ratios.append(python / native.nanoseconds_of_check(guard, bearer, call, 3000))
    print(f"a warm check beside the library's: {min(ratios):.2f} / {statistics.median(ratios):.2f} times")
print(hardtack.__version__)
