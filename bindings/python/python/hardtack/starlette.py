"""A guard in front of routes of Starlette and FastAPI.

::

    guarded = hardtack.starlette.Guarded(guard, lambda request: Call(f"pages:read:{request.path_params['id']}"))

    @app.get("/pages/{id}")                                    # FastAPI
    async def page(permit: Annotated[Permit, Depends(guarded)]): ...

    async def page(request): permit = await guarded(request)   # Starlette
"""

from __future__ import annotations

import inspect
import logging
from typing import Awaitable, Callable, Optional, Union

from starlette.exceptions import HTTPException
from starlette.requests import Request

from ._errors import Denied, Error, Refused
from ._native import Call, Guard, Permit

__all__ = ["Guarded", "RefusedRequest", "bearer_of"]

#: What a refusal's words for operators go to.
log = logging.getLogger("hardtack")

#: The most characters of a bearer: no token has more.
MAX_BEARER = 32 * 1024

Describe = Callable[[Request], Union[Call, Awaitable[Call]]]


class RefusedRequest(HTTPException):
    """A refused request. Its answer has the words for the caller; a handler of one's own can answer with ``refused.body()``."""

    #: What the caller may read.
    refused: Refused

    def __init__(self, refused: Refused, headers: dict[str, str]) -> None:
        super().__init__(refused.status, refused.description, headers)
        self.refused = refused


class Guarded:
    """Decides the call that ``describe`` finds in a request, and returns the permit; otherwise it raises ``RefusedRequest``.

    The answer has the words for the caller and ``WWW-Authenticate``; those for operators go to the logger ``hardtack``.
    """

    def __init__(
        self, guard: Guard, describe: Describe, *, resource_metadata: Optional[str] = None
    ) -> None:
        self._guard, self._describe, self._metadata = guard, describe, resource_metadata

    # FastAPI reads the annotation of a dependency, which has to be the class itself.
    async def __call__(self, request: Request) -> Permit:
        bearer = self._bearer(request)
        try:
            described = self._describe(request)
            call = await described if inspect.isawaitable(described) else described
        except Error as error:
            log.warning("hardtack: no call in the request: %s", error.cause)
            status = error.status if error.status is not None and error.status >= 400 else 400
            raise self._answer(Refused(status, "invalid_request", str(error), cause=error.cause)) from None
        if not isinstance(call, Call):
            # A description that finds nothing allows nothing.
            refused = Refused(400, "invalid_request", "the server finds no call in the request", cause="undescribed")
            raise self._answer(refused)
        try:
            return await self._guard.check_async(bearer, call)
        except Denied as denied:
            log.warning("hardtack: %s (%s)", denied.message, denied.cause)
            raise self._answer(denied.refused) from None

    def _bearer(self, request: Request) -> str:
        try:
            bearer = bearer_of(request)
        except ValueError as error:
            raise self._answer(Refused(400, "invalid_request", str(error), cause="malformed_bearer")) from None
        if bearer is None:
            raise self._answer(Refused(401, None, "no token was sent", cause="no_token"))
        return bearer

    def _answer(self, refused: Refused) -> RefusedRequest:
        headers = {"Cache-Control": "no-store"}
        challenge = refused.challenge(self._guard.audience, self._metadata)
        if challenge is not None:
            headers["WWW-Authenticate"] = challenge
        return RefusedRequest(refused, headers)


# So that FastAPI finds the class and not its name.
Guarded.__call__.__annotations__.update({"request": Request, "return": Permit})


def bearer_of(request: Request) -> Optional[str]:
    """The bearer of a request; None if there is none. Raises ValueError for one that is sent twice or not as a bearer."""
    sent = request.headers.getlist("authorization")
    if "access_token" in request.query_params:
        raise ValueError("the token belongs into the Authorization header, and not into the query")
    if not sent:
        return None
    scheme, _, bearer = sent[0].partition(" ")
    bearer = bearer.strip(" ")
    if len(sent) != 1 or scheme.lower() != "bearer" or not bearer or " " in bearer or len(bearer) > MAX_BEARER:
        raise ValueError("the token is sent once, as: Authorization: Bearer …")
    return bearer
