"""Auth for clients of httpx: a presentation made anew for each request, to one server only.

::

    agent = hardtack.Agent(capability, key, "notion.mcp")
    client = httpx.AsyncClient(auth=hardtack.httpx.Auth(agent, url))
"""

from __future__ import annotations

from typing import Optional

import httpx

from ._agent import Agent
from ._errors import Error
from ._flow import Flow

__all__ = ["Auth"]


class Auth(Flow, httpx.Auth):
    """Sends each request to ``url`` with a presentation of its own; a call with one for its arguments alone, valid once.

    Only requests to the origin and path of ``url`` get a bearer: none for OAuth metadata, none after a redirect to another origin.
    It raises ``hardtack.Error`` where nothing can be presented, such as when the capability has expired (``Agent.renew``).
    """

    def __init__(
        self,
        agent: Agent,
        url: str,
        *,
        call_bound: bool = True,
        allow_plain_http: Optional[str] = None,
    ) -> None:
        try:
            read = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise Error(f"this is not the URL of a server: {error}", cause="malformed_url") from None
        super().__init__(agent, read, call_bound=call_bound, allow_plain_http=allow_plain_http)
