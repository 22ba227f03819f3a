"""What a seamless wallet may be sent: exactly these fields (contracts: AMBSlot 2.2, 2.5, 5.4)."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from models.platform.money import from_decimal_units


def _number(value: object) -> Decimal:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return Decimal(value)
    raise ValueError("must be a number")


def _uuid(text: str) -> str:
    if str(UUID(text)) != text:
        raise ValueError("must be a UUID in its usual form")
    return text


Text = Annotated[str, Field(strict=True, min_length=1, max_length=255)]
Moment = Annotated[str, Field(strict=True, pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}$")]
Amount = Annotated[Decimal, BeforeValidator(_number), Field(ge=0, max_digits=30)]
Transaction = Annotated[str, Field(strict=True), AfterValidator(_uuid)]


class _WalletForm(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)


class BalanceQuestion(_WalletForm):
    """What `/balance` is sent; the agent has another name there."""

    username: Text
    agent: Annotated[Text, Field(alias="agentId")]


class WalletSettlement(_WalletForm):
    """What `/cancel` is sent, and what every payout has too."""

    username: Text
    agent: Text
    game: Text
    game_id: Text
    round_id: Text
    amount: Amount
    currency: Text
    transaction_id: Transaction
    timestamp: Moment

    @model_validator(mode="after")
    def _has_money_of_its_currency(self) -> Self:
        from_decimal_units(self.amount, self.currency)
        return self


class Payout(WalletSettlement):
    """What `/payout` is sent."""

    turnover: Amount
    is_end_round: Annotated[bool, Field(strict=True)]
    feature_buy: Annotated[bool, Field(strict=True)]


FORMS: Mapping[str, type[BalanceQuestion | WalletSettlement]] = {
    "payout": Payout,
    "cancel": WalletSettlement,
    "balance": BalanceQuestion,
}


def read_form(action: str, body: bytes) -> BalanceQuestion | WalletSettlement:
    """Read what was sent to `/action`. Raises ValueError that says what is wrong with it."""
    try:
        return FORMS[action].model_validate(document(body))
    except ValidationError as flaw:
        words = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in flaw.errors()]
        raise ValueError("; ".join(words)) from None


def document(body: bytes) -> dict[str, object]:
    """Read a JSON object with exact numbers; an empty one where the body is none."""
    try:
        told = json.loads(body, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
