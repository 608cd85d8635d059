"""Later: settles a future of asyncio's, in its own loop."""

from __future__ import annotations

import asyncio
from typing import Any


def settle(future: asyncio.Future[Any], ok: bool, answer: Any) -> None:
    """Gives the future its result or its exception, unless whoever waited has given up."""
    if future.done():
        return
    if ok:
        future.set_result(answer)
    else:
        future.set_exception(answer)
