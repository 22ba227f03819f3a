"""A seamless wallet: accounts that `/payout` and `/cancel` credit, once for each `transactionId`.

Contracts: AMBSlot 2.2 to 2.4 and 5.4. Strict about what it is sent, so that a test against it is a
test of the contract; amounts are exact.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from http import HTTPStatus

from models.platform.signing import sign_seamless
from models.platform.timestamps import written
from producers.simulation.partner.behaviour import Behaviour, Deed, Respond, RespondAsWallet
from producers.simulation.partner.call import PartnerCall
from producers.simulation.partner.http import ReceivedRequest, refusal
from producers.simulation.partner.wallet_call import (
    FORMS,
    BalanceQuestion,
    WalletSettlement,
    document,
    read_form,
)

OPENING = Decimal(10_000)  # currency units in an account when it is first heard of
TRANSACTIONS_MAX = 1_000_000
SUCCESS, NO_MEMBER, BAD_REQUEST, BAD_AGENT, AWAY = 0, 908, 997, 998, 999
MESSAGES = {
    SUCCESS: "Success",
    800: "Balance insufficient",
    NO_MEMBER: "Invalid username or token",
    995: "Invalid game id",
    BAD_REQUEST: "Invalid request data",
    BAD_AGENT: "Invalid agent id",
    AWAY: "Service not available",
    1601: "Request timeout",
}


@dataclass(slots=True)
class Wallet:
    """Speaks as a seamless wallet and keeps its books. Its partner's thread writes them."""

    secret: str = field(repr=False)
    agent: str | None = None  # the only one it knows; none: any
    demands_signature: bool = False
    _accounts: dict[str, Decimal] = field(default_factory=dict)
    _transactions: set[str] = field(default_factory=set)

    @property
    def usual(self) -> Behaviour:
        """It does what it is asked to."""
        return RespondAsWallet()

    @property
    def balances(self) -> Mapping[str, Decimal]:
        """Every account it has credited, in currency units."""
        return dict(self._accounts)

    @property
    def transactions(self) -> int:
        """How many calls it has acted upon."""
        return len(self._transactions)

    def read(self, request: ReceivedRequest, *, at: datetime) -> PartnerCall:  # noqa: ARG002 - its signatures tell no time
        """Read a call: the path is its action, the `transactionId` its key."""
        told = document(request.body)
        call = PartnerCall(
            request.body,
            action=request.target.rpartition("/")[2] or None,
            operator=_text(told, "agent"),
            ticket_id=_text(told, "roundId"),
            key=_text(told, "transactionId"),
            signed=self._is_signed(request),
        )
        return replace(call, refusal=_refusal(request, call))

    def worded(self, behaviour: Behaviour, call: PartnerCall, *, at: datetime) -> Deed:
        """Say what came of it in the contract's words. What is wrong with the call goes first."""
        if not isinstance(behaviour, RespondAsWallet):
            return behaviour
        asked = self._asked(call)
        match asked:
            case RespondAsWallet():
                return _answer(asked)
            case BalanceQuestion():
                return self._balance(asked)
            case WalletSettlement():
                before = after = self._account(asked)
                if behaviour.takes:
                    before, after = self._credit(asked)
                return _answer(behaviour, _books(behaviour, asked, before, after, at))

    def take(self, call: PartnerCall) -> None:
        """Credit what the call says, unless something is wrong with it or it was seen before."""
        asked = self._asked(call)
        if isinstance(asked, WalletSettlement):
            self._credit(asked)

    def _asked(self, call: PartnerCall) -> WalletSettlement | BalanceQuestion | RespondAsWallet:
        """Read what is wanted; an answer where that is not possible."""
        assert call.action is not None, "other paths were refused"
        try:
            asked = read_form(call.action, call.body)
        except ValueError as wrong:
            return RespondAsWallet(BAD_REQUEST, f"{MESSAGES[BAD_REQUEST]}: {wrong}")
        if self.agent not in (None, asked.agent):
            return RespondAsWallet(BAD_AGENT)
        seen = isinstance(asked, WalletSettlement) and asked.transaction_id in self._transactions
        if not seen and len(self._transactions) >= TRANSACTIONS_MAX:
            return RespondAsWallet(AWAY, "this wallet's books are full; start another one")
        return asked

    def _credit(self, asked: WalletSettlement) -> tuple[Decimal, Decimal]:
        """The balance before and after. A duplicate moves nothing (contracts: AMBSlot 5.4)."""
        before = self._account(asked)
        if asked.transaction_id in self._transactions:
            return before, before
        self._transactions.add(asked.transaction_id)
        self._accounts[asked.username] = before + asked.amount
        return before, self._account(asked)

    def _account(self, asked: WalletSettlement) -> Decimal:
        return self._accounts.get(asked.username, OPENING)

    def _balance(self, asked: BalanceQuestion) -> Respond:
        """Contracts: AMBSlot 2.0, Get Balance. Asking opens no account."""
        if asked.username not in self._accounts:
            return _answer(RespondAsWallet(NO_MEMBER))
        balance = self._accounts[asked.username]
        return _answer(RespondAsWallet(), {"username": asked.username, "balance": balance})

    def _is_signed(self, request: ReceivedRequest) -> bool | None:
        given = request.header("x-amb-signature")
        if given is None:
            return False if self.demands_signature else None
        return given == sign_seamless(request.body, secret=self.secret)


def _refusal(request: ReceivedRequest, call: PartnerCall) -> Respond | None:
    if request.method != "POST":
        return refusal(HTTPStatus.METHOD_NOT_ALLOWED, "calls are made with POST")
    if call.action not in FORMS:
        return refusal(HTTPStatus.NOT_FOUND, "there are /payout, /cancel and /balance")
    if call.signed is False:
        return refusal(HTTPStatus.FORBIDDEN, "x-amb-signature does not fit the body")
    return None


def _books(
    behaviour: RespondAsWallet,
    asked: WalletSettlement,
    before: Decimal,
    after: Decimal,
    at: datetime,
) -> dict[str, object]:
    shown = after + behaviour.off_by
    return {
        "username": asked.username,
        "wallet": {"balance": shown, "lastUpdate": _zulu(at)},
        "balance": {"before": before, "after": shown},
        "refId": asked.transaction_id if behaviour.ref_id is None else behaviour.ref_id,
    }


def _answer(behaviour: RespondAsWallet, data: Mapping[str, object] | None = None) -> Respond:
    message = behaviour.message or MESSAGES.get(behaviour.code, "Unknown")
    said: dict[str, object] = {"status": {"code": behaviour.code, "message": message}}
    if behaviour.code == SUCCESS:
        said["data"] = data
    return Respond(
        behaviour.status,
        seconds=behaviour.seconds,
        body=_written(said).encode(),
        taken=behaviour.takes,
    )


def _written(value: object) -> str:
    """JSON with exact decimals, which `json` would put through a float."""
    match value:
        case Mapping():
            inner = ",".join(f"{_written(name)}:{_written(one)}" for name, one in value.items())
            return f"{{{inner}}}"
        case Decimal():
            return f"{value:f}"
        case _:
            return json.dumps(value, ensure_ascii=False)


def _text(told: Mapping[str, object], name: str) -> str | None:
    value = told.get(name)
    return value if isinstance(value, str) else None


def _zulu(at: datetime) -> str:
    return written(at, "milliseconds")
