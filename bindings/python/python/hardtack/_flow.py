"""Flow: which requests of an HTTP client go with which presentation? The same for httpx and httpx2."""

from __future__ import annotations

from typing import Any, ClassVar, Generator, Iterable, Optional, Tuple

from ._agent import Agent
from ._errors import Error
from ._native import Call, Message

#: The most bytes of a body that are read: what a gateway takes.
MAX_BODY_BYTES = 4 * 1024 * 1024

#: The ports that a URL need not name.
_PORTS = {"https": 443, "http": 80}

#: The hosts to which plain HTTP stays on this machine.
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

_Place = Tuple[str, str, int, bytes]


def place(url: Any) -> _Place:
    """The origin and the path of a URL, as the client itself reads it: scheme, host, port, path."""
    port = url.port if url.port is not None else _PORTS.get(url.scheme, 0)
    return url.scheme, url.host, port, url.raw_path.partition(b"?")[0]


def server(url: Any, allow_plain_http: Optional[str]) -> _Place:
    """The place of a server to which bearers may go."""
    at = place(url)
    scheme, host, _, _ = at
    if scheme not in _PORTS or not host or url.userinfo:
        raise Error("this is not the URL of a server; write https://host/path", cause="malformed_url")
    if scheme == "http" and host not in (*_LOOPBACK, allow_plain_http):
        message = "bearers would go over plain HTTP to another machine; use https, or name the host by allow_plain_http"
        raise Error(message, cause="plain_http")
    return at


class Flow:
    """Presents anew for each request to one server: origin and path are those of the URL. Other requests go unchanged."""

    #: Clients of httpx read the body before the flow begins.
    requires_request_body = True

    #: The client's library, which reads URLs: httpx or httpx2.
    library: ClassVar[Any]

    def __init__(
        self,
        agent: Agent,
        url: str,
        *,
        call_bound: bool = True,
        allow_plain_http: Optional[str] = None,
    ) -> None:
        try:
            read = self.library.URL(url)
        except self.library.InvalidURL as error:
            raise Error(f"this is not the URL of a server: {error}", cause="malformed_url") from None
        self._agent = agent
        self._server = server(read, allow_plain_http)
        self._call_bound = call_bound

    def auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """The hook of httpx: adds the bearer to a request for the server."""
        if place(request.url) == self._server:
            request.headers["Authorization"] = f"Bearer {self._bearer(request)}"
        yield request

    def _bearer(self, request: Any) -> str:
        calls = _calls(request.content) if request.method == "POST" else []
        if calls and not self._call_bound:
            return self._agent.session().bearer
        return self._agent.for_calls(calls).bearer

    def __repr__(self) -> str:
        scheme, host, port, path = self._server
        return f"<Auth at {scheme}://{host}:{port}{path.decode()}>"


def _calls(body: bytes) -> Iterable[Call]:
    """The calls of a message; none of one that cannot be read exactly, which the server refuses by itself."""
    if len(body) > MAX_BODY_BYTES:
        return []
    try:
        return Message.read(body).calls()
    except Error:
        return []
