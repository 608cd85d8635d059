"""Errors: what is raised, and what of a refusal may be told to whoever is refused."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Optional, Tuple

__all__ = ["Denied", "Error", "Forbidden", "Refused", "Unauthenticated", "Unavailable"]


class Error(Exception):
    """An error of Hardtack's. ``cause`` is its stable name, such as ``beyond_scope`` (docs/errors.md)."""

    #: The stable name of the cause, which programs tell errors apart by.
    cause: str
    #: The number of the token's block at which it was seen; 0 is the grant. None if it belongs to no block.
    block: Optional[int]
    #: The HTTP status with which a server answers, if the cause has one.
    status: Optional[int]
    #: What is wrong and what helps, for the people who run the program.
    message: str

    def __init__(
        self,
        message: str,
        *,
        cause: str,
        block: Optional[int] = None,
        status: Optional[int] = None,
    ) -> None:
        super().__init__(message)
        self.message, self.cause, self.block, self.status = message, cause, block, status

    def __reduce__(self) -> Tuple[Any, ...]:
        return (_error, (type(self), self.message, self.cause, self.block, self.status))


@dataclass(frozen=True)
class Refused:
    """What the caller may read of a refusal: its class, the missing right and who can help. It says nothing of policies."""

    #: The HTTP status: 400, 401, 403, 409 or 503.
    status: int
    #: The error's name (RFC 6750), such as ``insufficient_scope``.
    error: Optional[str]
    #: The refusal in words.
    description: str
    #: The scope that is missing, if one is.
    scope: Optional[str] = None
    #: The stable name of the cause, if outsiders may know it.
    cause: Optional[str] = None
    #: Whether the same request may be answered otherwise later.
    retry: bool = False
    #: For how many seconds a new grant would be refused as well.
    retry_after: Optional[int] = None
    #: What helps: ``another_call``, ``delegator``, ``server``, ``new_token`` or ``later``.
    helps: Optional[str] = None
    #: The arguments with which another call could pass, as far as that is told.
    arguments: Tuple[str, ...] = ()

    def challenge(self, realm: str, resource_metadata: Optional[str] = None) -> Optional[str]:
        """The header ``WWW-Authenticate``; None where no other token would help. ``realm`` is the server's audience."""
        from . import _native

        given = (self.status, self.error, self.description, self.scope)
        return _native.challenge(*given, realm, resource_metadata)

    def facts(self) -> dict[str, Any]:
        """What a program may read of it: the members of ``_meta["dev.hardtack/refusal"]`` in a gateway's answers."""
        facts = asdict(self)
        del facts["status"], facts["description"]
        facts["arguments"] = list(self.arguments)
        return facts

    def body(self) -> dict[str, Any]:
        """The JSON body of an answer."""
        error = {"error": self.error or "invalid_token", "error_description": self.description}
        return {**self.facts(), **error}


class Denied(Error):
    """A refused call. ``str()`` has the words for the caller, since frameworks answer with it; ``message`` is for operators.

    ``message`` and ``place`` may say which policies are in force. Log them, and answer with ``refused``.
    """

    #: What the caller may read.
    refused: Refused
    #: The policy's file and line, or which check of which block decided.
    place: Optional[str]
    status: int

    def __init__(
        self,
        message: str,
        *,
        cause: str,
        refused: Refused,
        block: Optional[int] = None,
        place: Optional[str] = None,
    ) -> None:
        super().__init__(message, cause=cause, block=block, status=refused.status)
        self.refused, self.place = refused, place

    def __str__(self) -> str:
        return self.refused.description

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.refused.description!r})"

    def __reduce__(self) -> Tuple[Any, ...]:
        given = (self.message, self.cause, self.refused, self.block, self.place)
        return (_denied, (type(self), *given))


class Unauthenticated(Denied):
    """The token does not hold here: 401."""


class Forbidden(Denied):
    """The token holds, and the call is not allowed: 403; 400 for a call that is not exact."""


class Unavailable(Denied):
    """The call cannot be decided now: 503. Until it can be, nothing is allowed."""


def _error(kind: type[Error], message: str, cause: str, block: Any, status: Any) -> Error:
    return kind(message, cause=cause, block=block, status=status)


def _denied(kind: type[Denied], message: str, cause: str, refused: Refused, block: Any, place: Any) -> Denied:
    return kind(message, cause=cause, refused=refused, block=block, place=place)
