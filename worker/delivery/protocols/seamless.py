"""Seamless wallets (contracts: AMBSlot 2): `/payout` and `/cancel` behind the operator's URL.

A wallet knows a repeat by the `transactionId` in the body, which is the same on every attempt, so
no header says it. What came of a call stands in the answer's `status.code`, whatever the HTTP
status.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

from models.outbox.values import Claim, Partner
from models.platform.signing import sign_seamless
from worker.delivery.http.exchange import HttpResponse
from worker.delivery.protocols.adapter import (
    GAVE_UP_WAITING,
    Accepted,
    Meaning,
    NotNow,
    OutgoingRequest,
    Rejected,
    Remarks,
    Unclear,
)
from worker.delivery.protocols.wallet_response import WalletResponse, read_wallet_answer

SIGNATURE_HEADER: Final = "x-amb-signature"
DONE: Final = 0
# Contracts 2.4. Every other code, 999 and 1600 to 1602 among them, may be better another time.
REFUSALS: Final[Mapping[int, str]] = {
    800: "balance too low",
    908: "bad username or token",
    995: "bad game id",
    997: "bad request data",
    998: "bad agent id",
}
# Contracts 2.5: what a second call is answered by wallets that know the first (900: AMBSlot's 806).
ALREADY_DONE: Final[Mapping[str, Mapping[int, str]]] = {
    "/cancel": {806: "duplicate round", 807: "already cancelled", 900: "round known already"},
    "/payout": {806: "duplicate round", 900: "round known already"},
}
ALREADY_DONE_AT_A_REPEAT: Final = "already_done_at_a_repeat"
NOBODY: Final = "slipway-ping"  # a player whom no wallet knows


class SeamlessAdapter:
    """The dialect of seamless wallets."""

    def request(
        self,
        claim: Claim,
        partner: Partner,
        *,
        secret: str,
        at: datetime,  # noqa: ARG002 - the settlement's own time is the only one in the call
    ) -> OutgoingRequest:
        """Word the call; signed over the exact body if the wallet asks for it (contracts 2.1)."""
        return _request(partner, claim.path, claim.body.encode(), secret=secret)

    def read(self, claim: Claim, answer: HttpResponse) -> Meaning:
        """Judge by `status.code`, and keep what the wallet says it did.

        0: done. A code that says our request is wrong: refused, with the wallet's words. One that
        says it was done already: done, with a doubt, if that may have been us. Any other code, and
        an answer without one (a proxy's page): later, with the same `transactionId`. A success of
        HTTP without a code, and a front end that gave up waiting: unclear.
        """
        said = read_wallet_answer(answer)
        if said.code is None:
            problem = f"answered {answer.status} {said.flaw}"
            return Unclear(problem) if _is_unclear(answer.status) else NotNow(problem)
        if said.code == DONE:
            doubts = _doubts(claim, said) + (["answer_cut"] if answer.cut else [])
            return Accepted(_remarks(said, doubts=doubts))
        already = ALREADY_DONE.get(claim.path, {}).get(said.code)
        if already is not None:
            return _already(claim, said, f"answered status.code {said.code} ({already})")
        known = REFUSALS.get(said.code)
        if known is None:
            return NotNow(f"answered status.code {said.code}", _remarks(said))
        problem = f"answered status.code {said.code} ({known})"
        return Rejected(problem, said.message or None, _remarks(said))

    def ping(self, partner: Partner, *, secret: str) -> OutgoingRequest:
        """Ask for the balance of a player whom nobody knows: the contract has no ping.

        Contracts 2.0 and 2.2: `/balance` only reads, and its two fields are these.
        """
        body = json.dumps({"username": NOBODY, "agentId": partner.agent}, separators=(",", ":"))
        return _request(partner, "/balance", body.encode(), secret=secret)

    def answers_ping(self, answer: HttpResponse) -> bool:
        """Any `status.code`: also the one that says there is no such player."""
        return read_wallet_answer(answer).code is not None


def _request(partner: Partner, path: str, body: bytes, *, secret: str) -> OutgoingRequest:
    headers = {"Content-Type": "application/json"}
    if partner.sign_calls:
        headers[SIGNATURE_HEADER] = sign_seamless(body, secret=secret)
    return OutgoingRequest(url=partner.url.rstrip("/") + path, headers=headers, body=body)


def _is_unclear(status: int) -> bool:
    """Say whether the wallet may have acted, for all that an unreadable answer says."""
    return 200 <= status <= 299 or status in GAVE_UP_WAITING  # noqa: PLR2004 - class of success


def _already(claim: Claim, said: WalletResponse, problem: str) -> Meaning:
    """Judge a call that the wallet says it did before: perhaps not by a call of ours.

    A cancel asked for a second time has what it wants. A payout must be our own, or the player may
    lack it: only where an earlier attempt may have been taken. A cancel that is the first will get
    the same answer each time: a person decides.
    """
    if claim.path == "/cancel":
        if claim.number > 1:
            return Accepted(_remarks(said, doubts=[ALREADY_DONE_AT_A_REPEAT]))
        return Rejected(f"{problem} to the first call", said.message or None, _remarks(said))
    if claim.perhaps_delivered:
        return Accepted(_remarks(said, doubts=[ALREADY_DONE_AT_A_REPEAT]))
    return NotNow(problem, _remarks(said))


def _doubts(claim: Claim, told: WalletResponse) -> list[str]:
    """What is odd about a success, as words for lists and logs: a person may want to look."""
    asked = json.loads(claim.body, parse_float=Decimal)
    doubts = []
    if told.ref_id is None:
        doubts.append("ref_id_missing")
    elif told.ref_id.lower() != asked["transactionId"]:
        doubts.append("ref_id_not_ours")
    moved = told.moved
    if moved is None:
        doubts.append("balance_missing")
    elif moved != asked["amount"]:
        # What moved at an earlier attempt does not move again; nobody can tell from here.
        repeated = moved == 0 and claim.number > 1
        doubts.append("balance_unmoved_at_a_repeat" if repeated else "balance_moved_otherwise")
    return doubts


def _remarks(told: WalletResponse, *, doubts: list[str] | None = None) -> Remarks:
    """What is kept with the attempt; amounts as they were written, in currency units."""
    remarks = {
        "code": told.code,
        "message": told.message,
        "ref_id": told.ref_id,
        "balance_before": None if told.before is None else f"{told.before:f}",
        "balance_after": None if told.after is None else f"{told.after:f}",
        "doubts": doubts or None,
    }
    return {name: value for name, value in remarks.items() if value is not None}
