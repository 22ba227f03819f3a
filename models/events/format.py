"""The event's wire format (design.md 4), as Pydantic types: they validate, and yield plain dicts.

Field names are the partner protocol's own (contracts: BetStack 1.4, 1.5). Fields nobody knows are
kept in the log and never sent on.
"""

from typing import Annotated, Literal, NotRequired, Required

from pydantic import ConfigDict, Field, StringConstraints
from typing_extensions import TypedDict  # Pydantic reads the standard one only from 3.12 on

from models.lifecycle.words import Action

EVENT_BYTES_MAX = 256 * 1024
# 1 to 64 printable characters without spaces: no control, format or separator characters.
_PRINTABLE = r"^[^\p{C}\p{Z}]*$"
Id = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=_PRINTABLE)]
# What is sent on to a PAM holds no space: its rule for signing such a text is ambiguous (5.5).
Word = Annotated[str, StringConstraints(max_length=255, pattern=_PRINTABLE)]
Text = Annotated[str, StringConstraints(max_length=255)]
Cents = Annotated[int, Field(ge=0, le=10**15)]  # the currency's minor unit, by ISO 4217
Percent = Annotated[int | float, Field(ge=0, le=1000, allow_inf_nan=False)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Moment = Annotated[
    str,  # RFC 3339 with an offset; read by `datetime.fromisoformat`, which is ten times as fast
    StringConstraints(
        pattern=r"^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})$"
    ),
]


class Data(TypedDict, total=False):
    """The facts of an event. Which ones an action needs: `REQUIRED`."""

    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]  # Pydantic's documented place for a TypedDict's settings

    operator: Required[Id]
    ticket_id: Required[Id]
    ticket_code: Id | None
    player_id: Word | None
    psp: Word | None
    price: Cents | None
    stake: Cents | None
    wht_amount: Cents | None
    wht: Percent | None
    ext_amount: Cents | None
    ext: Percent | None
    ext_type: Word | None
    gross_payout: Cents | None
    net_payout: Cents | None
    currency: Currency | None
    atag: Word | None
    rtag: Word | None
    ticket_type: Word | None
    reason: Text | None
    game: Text | None
    game_id: Text | None
    feature_buy: bool | None
    correction: bool | None


class WireEvent(TypedDict):
    """One event as published. `event_id` and `occurred_at` may be absent (then a retry counts)."""

    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]  # as above

    event_id: NotRequired[Id | None]
    occurred_at: NotRequired[Moment | None]
    action: Literal[
        "ticket_open",
        "ticket_create",
        "ticket_reserve",
        "ticket_paid",
        "ticket_update",
        "ticket_discard",
        "ticket_win",
        "ticket_lost",
        "ticket_void",
        "ticket_refund",
        "ticket_rollback",
    ]
    sequence: NotRequired[Annotated[int, Field(ge=1, le=2**31 - 1)] | None]
    data: Data


_SLIP = (
    "ticket_code",
    "player_id",
    "price",
    "stake",
    "wht_amount",
    "wht",
    "ext_amount",
    "ext",
    "ext_type",
    "gross_payout",
    "net_payout",
    "currency",
    "ticket_type",
)
# Beside `operator` and `ticket_id`; `psp`, `atag` and `rtag` may be null (contracts: BetStack 1.3).
REQUIRED: dict[Action, tuple[str, ...]] = {
    Action.CREATE: _SLIP,
    Action.RESERVE: _SLIP,
    Action.UPDATE: _SLIP,
}


def is_missing(value: object) -> bool:
    """Say whether a fact is not there: an empty text says as little as none."""
    return value is None or (isinstance(value, str) and not value.strip())


# In the order in which a PAM is told them (contracts: BetStack 1.4).
MONEY = (
    "price",
    "stake",
    "wht_amount",
    "wht",
    "ext_amount",
    "ext",
    "ext_type",
    "gross_payout",
    "net_payout",
)
