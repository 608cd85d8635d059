"""Agent: who presents one capability to one server, again and again."""

from __future__ import annotations

from typing import Iterable

from ._native import Call, Capability, Presentation, Presenter, PrivateKey

__all__ = ["Agent"]


class Agent:
    """A holder of one capability, at one server: what an HTTP client presents.

    A session's presentation is kept and made anew when half of its life is over. One for a call is made for each call, is valid once,
    for a minute, and for its arguments alone. A call that the capability does not cover is presented all the same, so that the server
    refuses it in its own words and the session goes on.
    """

    def __init__(self, capability: Capability, key: PrivateKey, audience: str) -> None:
        self.audience = audience
        self._presenter = Presenter(capability, key, even_uncovered=True)

    def session(self) -> Presentation:
        """The presentation for all that the capability grants, as often as it is asked for."""
        return self._presenter.session(self.audience)

    def for_no_call(self) -> Presentation:
        """The presentation for what is no call, such as opening a session or a list."""
        return self._presenter.for_no_call(self.audience)

    def for_calls(self, calls: Iterable[Call]) -> Presentation:
        """A presentation for these calls alone."""
        return self._presenter.for_calls(self.audience, list(calls))

    def renew(self, capability: Capability) -> None:
        """Presents another capability of the same key from now on, such as a new grant."""
        self._presenter.replace(capability)

    def __repr__(self) -> str:
        return f"<Agent at {self.audience}>"
