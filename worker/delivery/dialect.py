"""How a family of partners is spoken to: what differs from one protocol to the next, and no more.

A dialect words a request and says what an answer means. When to try again, for how long, and what
is kept is the same for all (`worker.delivery.judging`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from models.outbox.values import Claim, Partner
from worker.delivery.calls import Answer


@dataclass(frozen=True, slots=True)
class Request:
    """What to POST, and where. The body is the notice's own text, byte for byte."""

    url: str = field(repr=False)  # may hold a password
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Taken:
    """The partner has it."""


@dataclass(frozen=True, slots=True)
class NotNow:
    """The partner does not have it, and a later attempt may help."""

    problem: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The partner will not have it; the same request would be refused again."""

    problem: str


Meaning = Taken | NotNow | Refused


class Dialect(Protocol):
    """One partner protocol."""

    def request(self, claim: Claim, partner: Partner, *, secret: str, at: datetime) -> Request:
        """Word an attempt made at *at*. The same claim always gives the same body."""
        ...

    def read(self, claim: Claim, answer: Answer) -> Meaning:
        """Say what the partner's answer means for this notice."""
        ...
