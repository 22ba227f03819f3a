"""Asks one partner whether it is there, over the same wire as everything else."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final, assert_never

from models.outbox.values import Partner
from worker.delivery.http.client import HttpClient
from worker.delivery.http.exchange import HttpCall, HttpResponse, NoAnswer, NotReached
from worker.delivery.http.transfer import TransferLimits
from worker.delivery.protocols.registry import DIALECTS

BEGINNING_CHARACTERS_MAX: Final = 500
_PATIENCE: Final = timedelta(seconds=10)  # beyond the call's own timeout, which ends it before


@dataclass(frozen=True, slots=True)
class Pinged:
    """What came back. *there*: the partner answered as one of its protocol does."""

    there: bool
    url: str
    sent: str
    took_ms: float
    status: int | None = None  # none: it did not answer
    problem: str | None = None
    beginning: str = field(default="", repr=False)  # of its answer


def ping(partner: Partner, *, secret: str, terms: TransferLimits, timeout: timedelta) -> Pinged:
    """Call the partner as its dialect's `ping` words it, and wait for the answer."""
    dialect = DIALECTS[partner.protocol]
    request = dialect.ping(partner, secret=secret)
    wire = HttpClient(terms, calls_max=1)
    try:
        wire.start(HttpCall(1, request.url, request.headers, request.body, timeout))
        (answered,) = wire.finished(timeout + _PATIENCE)
    finally:
        wire.close()
    asked = Pinged(
        there=False,
        url=request.url,
        sent=request.body.decode(),
        took_ms=round(answered.took / timedelta(milliseconds=1), 1),
    )
    match answered.reply:
        case HttpResponse() as answer:
            beginning = answer.body[: 4 * BEGINNING_CHARACTERS_MAX].decode(errors="replace")
            return replace(
                asked,
                there=dialect.answers_ping(answer),
                status=answer.status,
                beginning=beginning[:BEGINNING_CHARACTERS_MAX],
            )
        case NotReached(problem) | NoAnswer(problem):
            return replace(asked, problem=problem)
        case _:
            assert_never(answered.reply)
