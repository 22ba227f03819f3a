"""Behaviours by name, as `POST /_behave` takes them."""

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from producers.simulation.partner.behaviour import (
    HUGE_BYTES,
    Behaviour,
    CloseWithoutAnswer,
    Drip,
    Hang,
    HangAfterAccept,
    HangMidBody,
    HugeBody,
    Respond,
    RespondAsWallet,
    Rule,
)

Name = Literal[
    "status",
    "delay",
    "hang",
    "hang_after_accept",
    "hang_mid_body",
    "close_without_answer",
    "answer_then_close",
    "redirect_loop",
    "huge_body",
    "drip",
    "wrong_content_type",
    "success_whose_answer_is_lost",
    "wallet_code",
    "wrong_ref_id",
    "wrong_balance",
]
Seconds = Annotated[float, Field(ge=0, le=3600)]


class BehaviourOrder(BaseModel):
    """One rule as JSON: a behaviour by name, its details, and when it applies."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    behaviour: Name
    status: Annotated[int, Field(ge=200, le=599)] = 200
    seconds: Seconds | None = None
    length: Annotated[int, Field(ge=1, le=HUGE_BYTES)] | None = None
    code: Annotated[int, Field(ge=0, le=999_999)] = 0
    taken: bool | None = None
    retry_after: Annotated[str, Field(pattern=r"^[ -~]{1,64}$")] | None = None
    action: str | None = None
    ticket_id: str | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    first: Annotated[int, Field(ge=1)] | None = None
    per_ticket: bool = False

    def rule(self) -> Rule:
        """Return what it means. ValueError when its conditions don't go together."""
        return Rule(
            behaviour=_BEHAVIOURS[self.behaviour](self),
            action=self.action,
            ticket_id=self.ticket_id,
            since=self.since,
            until=self.until,
            first=self.first,
            per_ticket=self.per_ticket,
        )


def _answer(order: BehaviourOrder) -> Respond:
    retry_after = () if order.retry_after is None else (("Retry-After", order.retry_after),)
    return Respond(
        order.status, seconds=order.seconds or 0.0, headers=retry_after, taken=order.taken
    )


def _wallet_code(order: BehaviourOrder) -> RespondAsWallet:
    return RespondAsWallet(
        order.code, status=order.status, seconds=order.seconds or 0.0, taken=order.taken
    )


_BEHAVIOURS: dict[Name, Callable[[BehaviourOrder], Behaviour]] = {
    "status": _answer,
    "delay": _answer,
    "hang": lambda _: Hang(),
    "hang_after_accept": lambda _: HangAfterAccept(),
    "hang_mid_body": lambda order: HangMidBody(order.length or 1000),
    "close_without_answer": lambda _: CloseWithoutAnswer(),
    "answer_then_close": lambda order: Respond(order.status, then_close=True),
    "redirect_loop": lambda _: Respond(307, headers=(("Location", "/redirected-here-again"),)),
    "huge_body": lambda order: HugeBody(order.length or HUGE_BYTES),
    "drip": lambda order: Drip(
        order.length or 1000, 0.1 if order.seconds is None else order.seconds
    ),
    "wrong_content_type": lambda order: Respond(
        order.status, body=b"<!doctype html><p>It works", content_type="text/html"
    ),
    "success_whose_answer_is_lost": lambda _: CloseWithoutAnswer(taken=True),
    "wallet_code": _wallet_code,
    "wrong_ref_id": lambda _: RespondAsWallet(ref_id="somebody-else-s"),
    "wrong_balance": lambda _: RespondAsWallet(off_by=Decimal("0.01")),
}
