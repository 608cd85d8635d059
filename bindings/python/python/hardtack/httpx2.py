"""Auth for clients of httpx2: a presentation made anew for each request, to one server only.

::

    agent = hardtack.Agent(capability, key, "notion.mcp")
    client = httpx2.AsyncClient(auth=hardtack.httpx2.Auth(agent, url))
"""

from __future__ import annotations

import httpx2

from ._flow import Flow

__all__ = ["Auth"]


class Auth(Flow, httpx2.Auth):
    """Sends each request to ``url`` with a presentation of its own; a call with one for its arguments alone, valid once.

    Only requests to the origin and path of ``url`` get a bearer: none for OAuth metadata, none after a redirect to another origin.
    It raises ``hardtack.Error`` where nothing can be presented, such as when the capability has expired (``Agent.renew``).
    """

    library = httpx2
