"""A seamless wallet: accounts that `/payout` and `/cancel` credit, once for each `transactionId`.

Contracts 2.2 to 2.4 and 5.4. It accepts exactly what the contract allows, so that a test against
it tests the contract; amounts are exact.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from http import HTTPStatus
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
from models.platform.signing import sign_seamless
from models.platform.timestamps import format_timestamp
from producers.simulation.partner.behaviour import (
    Behaviour,
    Habit,
    Respond,
    RespondAsWallet,
    SocketBehaviour,
)
from producers.simulation.partner.http import ReceivedRequest, error_response
from producers.simulation.partner.protocol import PartnerCall

OPENING = Decimal(10_000)  # currency units in an account when it is first used
TRANSACTIONS_MAX = 1_000_000
SUCCESS, NO_MEMBER, BAD_REQUEST, BAD_AGENT, UNAVAILABLE = 0, 908, 997, 998, 999
MESSAGES = {
    SUCCESS: "Success",
    800: "Balance insufficient",
    NO_MEMBER: "Invalid username or token",
    995: "Invalid game id",
    BAD_REQUEST: "Invalid request data",
    BAD_AGENT: "Invalid agent id",
    UNAVAILABLE: "Service not available",
    1601: "Request timeout",
}


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
    """The body of `/balance`; the agent has another name there."""

    username: Text
    agent: Annotated[Text, Field(alias="agentId")]


class WalletSettlement(_WalletForm):
    """The body of `/cancel`, and what every payout has as well."""

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
    """The body of `/payout`."""

    turnover: Amount
    is_end_round: Annotated[bool, Field(strict=True)]
    feature_buy: Annotated[bool, Field(strict=True)]


FORMS: Mapping[str, type[BalanceQuestion | WalletSettlement]] = {
    "payout": Payout,
    "cancel": WalletSettlement,
    "balance": BalanceQuestion,
}


@dataclass(slots=True)
class Wallet:
    """A seamless wallet and its accounts, which the thread of its partner writes."""

    secret: str = field(repr=False)
    agent: str | None = None  # the only agent it knows; None: any
    demands_signature: bool = False
    _accounts: dict[str, Decimal] = field(default_factory=dict)
    _transactions: set[str] = field(default_factory=set)

    @property
    def default_behaviour(self) -> Behaviour:
        """Do what the call asks for."""
        return RespondAsWallet()

    @property
    def balances(self) -> Mapping[str, Decimal]:
        """Every account that was credited, in currency units."""
        return dict(self._accounts)

    @property
    def transactions(self) -> int:
        """How many calls it has acted on."""
        return len(self._transactions)

    def read(self, request: ReceivedRequest, *, at: datetime) -> PartnerCall:  # noqa: ARG002 - its signatures hold no time
        """Read a call: the path is the action, the `transactionId` the key."""
        fields = read_json_object(request.body)
        call = PartnerCall(
            request.body,
            action=request.target.rpartition("/")[2] or None,
            operator=_text(fields, "agent"),
            ticket_id=_text(fields, "roundId"),
            key=_text(fields, "transactionId"),
            signed=self._is_signed(request),
        )
        return replace(call, error=_error(request, call))

    def build_response(
        self, behaviour: Behaviour, call: PartnerCall, *, at: datetime
    ) -> SocketBehaviour:
        """Build the contract's response. Errors of the call come before *behaviour*."""
        if not isinstance(behaviour, RespondAsWallet):
            return behaviour
        form = self._read_call(call)
        match form:
            case RespondAsWallet():
                return _respond(form)
            case BalanceQuestion():
                return self._balance(form)
            case WalletSettlement():
                before = after = self._account(form)
                if behaviour.takes:
                    before, after = self._credit(form)
                return _respond(behaviour, _settled(behaviour, form, before, after, at))

    def act_on(self, call: PartnerCall) -> None:
        """Credit the amount of the call, unless it is invalid or a duplicate."""
        form = self._read_call(call)
        if isinstance(form, WalletSettlement):
            self._credit(form)

    def _read_call(self, call: PartnerCall) -> WalletSettlement | BalanceQuestion | RespondAsWallet:
        """Read the form of the call; an error response if it is invalid."""
        assert call.action is not None, "other paths got an error"
        try:
            form = read_form(call.action, call.body)
        except ValueError as error:
            return RespondAsWallet(BAD_REQUEST, f"{MESSAGES[BAD_REQUEST]}: {error}")
        if self.agent not in (None, form.agent):
            return RespondAsWallet(BAD_AGENT)
        seen = isinstance(form, WalletSettlement) and form.transaction_id in self._transactions
        if not seen and len(self._transactions) >= TRANSACTIONS_MAX:
            return RespondAsWallet(
                UNAVAILABLE, "this wallet holds no more transactions; start another one"
            )
        return form

    def _credit(self, form: WalletSettlement) -> tuple[Decimal, Decimal]:
        """Return the balance before and after. A duplicate changes nothing (contracts 5.4)."""
        before = self._account(form)
        if form.transaction_id in self._transactions:
            return before, before
        self._transactions.add(form.transaction_id)
        self._accounts[form.username] = before + form.amount
        return before, self._account(form)

    def _account(self, form: WalletSettlement) -> Decimal:
        return self._accounts.get(form.username, OPENING)

    def _balance(self, form: BalanceQuestion) -> Respond:
        """Answer Get Balance (contracts 2.0). It opens no account."""
        if form.username not in self._accounts:
            return _respond(RespondAsWallet(NO_MEMBER))
        balance = self._accounts[form.username]
        return _respond(RespondAsWallet(), {"username": form.username, "balance": balance})

    def _is_signed(self, request: ReceivedRequest) -> bool | None:
        signature = request.header("x-amb-signature")
        if signature is None:
            return False if self.demands_signature else None
        return signature == sign_seamless(request.body, secret=self.secret)


def _error(request: ReceivedRequest, call: PartnerCall) -> Respond | None:
    if request.method != "POST":
        return error_response(HTTPStatus.METHOD_NOT_ALLOWED, "calls are sent with POST")
    if call.action not in FORMS:
        return error_response(HTTPStatus.NOT_FOUND, "only /payout, /cancel and /balance exist")
    if call.signed is False:
        return error_response(HTTPStatus.FORBIDDEN, "x-amb-signature does not match the body")
    return None


def _settled(
    behaviour: RespondAsWallet,
    form: WalletSettlement,
    before: Decimal,
    after: Decimal,
    at: datetime,
) -> dict[str, object]:
    reported = after + behaviour.off_by
    return {
        "username": form.username,
        "wallet": {"balance": reported, "lastUpdate": _zulu(at)},
        "balance": {"before": before, "after": reported},
        "refId": form.transaction_id if behaviour.ref_id is None else behaviour.ref_id,
    }


def _respond(behaviour: RespondAsWallet, data: Mapping[str, object] | None = None) -> Respond:
    message = behaviour.message or MESSAGES.get(behaviour.code, "Unknown")
    code = str(behaviour.code) if behaviour.habit is Habit.CODE_AS_TEXT else behaviour.code
    response: dict[str, object] = {"status": {"code": code, "message": message}}
    if behaviour.code == SUCCESS:
        response["data"] = data
    return Respond(
        behaviour.status,
        seconds=behaviour.seconds,
        body=_format_json(response).encode(),
        taken=behaviour.takes,
        habit=behaviour.habit,
    )


def _format_json(value: object) -> str:
    """Format JSON with exact decimals, which `json` would convert to floats."""
    match value:
        case Mapping():
            members = ",".join(
                f"{_format_json(name)}:{_format_json(inner)}" for name, inner in value.items()
            )
            return f"{{{members}}}"
        case Decimal():
            return f"{value:f}"
        case _:
            return json.dumps(value, ensure_ascii=False)


def _text(fields: Mapping[str, object], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) else None


def _zulu(at: datetime) -> str:
    return format_timestamp(at, "milliseconds")


def read_form(action: str, body: bytes) -> BalanceQuestion | WalletSettlement:
    """Read the body of `/action`. Raises ValueError that says what is wrong with it."""
    try:
        return FORMS[action].model_validate(read_json_object(body))
    except ValidationError as error:
        messages = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise ValueError("; ".join(messages)) from None


def read_json_object(body: bytes) -> dict[str, object]:
    """Read a JSON object with exact numbers. Returns an empty one for any other body."""
    try:
        document = json.loads(body, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
