"""Seamless wallets (contracts 2): `/payout` and `/cancel` behind the operator's URL.

A wallet recognises a repeat by the `transactionId` in the body, which is the same on every attempt,
so no header is needed. The result of a call is `status.code` in the response, whatever the HTTP
status.
"""

import json
from datetime import datetime
from decimal import Decimal
from typing import Final

from models.notices.request import OutgoingRequest, seamless_request
from models.notices.responses import (
    ALREADY_DONE,
    DONE,
    GAVE_UP_WAITING,
    LOCKED_OUT,
    REFUSALS,
)
from models.notices.seamless import BALANCE, CANCEL, balance_body
from models.outbox.values import Claim, Partner
from models.platform.signing import sign_seamless
from worker.delivery.http.exchange import HttpResponse
from worker.delivery.protocols.adapter import (
    Confirmed,
    Meaning,
    NotNow,
    Rejected,
    Remarks,
    Unclear,
)
from worker.delivery.protocols.wallet_response import WalletResponse, read_wallet_response
from worker.delivery.response_headers import redirect_note

ALREADY_DONE_AT_A_REPEAT: Final = "already_done_at_a_repeat"


class SeamlessAdapter:
    """Builds requests to seamless wallets and interprets their responses."""

    def build_request(
        self,
        claim: Claim,
        partner: Partner,
        *,
        secret: str,
        at: datetime,  # noqa: ARG002 - the settlement's own time is the only one in the call
    ) -> OutgoingRequest:
        """Build the request, signed over the exact body if the wallet wants it (contracts 2.1)."""
        return _request(partner, claim.path, claim.body.encode(), secret=secret)

    def interpret(
        self,
        claim: Claim,
        partner: Partner,  # noqa: ARG002 - terms about the status are for PAM
        response: HttpResponse,
    ) -> Meaning:
        """Classify by `status.code`, and keep what the wallet says it did.

        0: confirmed. A code that blames our request: rejected, with the wallet's text. One that
        says it was done already: confirmed, with a doubt, if that may have been us. Any other code,
        and a response without one (a proxy's page): not now, and later the same `transactionId`.
        HTTP success without a code, and a front end that gave up waiting: unclear.
        """
        wallet = read_wallet_response(response)
        if wallet.code is None:
            problem = f"answered {response.status} {wallet.flaw}{redirect_note(response)}"
            return Unclear(problem) if _may_have_acted(response.status) else NotNow(problem)
        if wallet.code == DONE:
            doubts = [*_doubts(claim, wallet), *wallet.repairs]
            return Confirmed(_remarks(wallet, doubts=doubts))
        already = ALREADY_DONE.get(claim.path, {}).get(wallet.code)
        if already is not None:
            return _already_done(claim, wallet, f"answered status.code {wallet.code} ({already})")
        refusal = REFUSALS.get(wallet.code)
        if refusal is None:
            return NotNow(f"answered status.code {wallet.code}", _remarks(wallet))
        problem = f"answered status.code {wallet.code} ({refusal})"
        return Rejected(problem, wallet.message or None, _remarks(wallet))

    def build_ping(self, partner: Partner, *, secret: str) -> OutgoingRequest:
        """Build a query for the balance of an unknown player: the contract has no ping.

        `/balance` only reads, and its two fields are these (contracts 2.0, contracts 2.2).
        """
        body = balance_body(partner.agent).encode()
        return _request(partner, BALANCE, body, secret=secret)

    def is_ping_response(
        self,
        partner: Partner,  # noqa: ARG002 - terms about a success are for PAM
        response: HttpResponse,
    ) -> bool:
        """Return whether there is a `status.code`, even one for an unknown player."""
        return read_wallet_response(response).code is not None

    def explain(
        self,
        partner: Partner,  # noqa: ARG002 - terms about a success are for PAM
        response: HttpResponse,
    ) -> str | None:
        """Return why there is no `status.code`, and where the response redirects."""
        wallet = read_wallet_response(response)
        if wallet.code is not None:
            return None
        return f"answered {response.status} {wallet.flaw}{redirect_note(response)}"

    def build_test(
        self,
        partner: Partner,
        *,
        secret: str,
        at: datetime,  # noqa: ARG002 - neither the call nor its signature has a time
        test_id: str,  # noqa: ARG002 - the player is unknown to every wallet
    ) -> OutgoingRequest | None:
        """Build the ping, which is signed if calls to this wallet are."""
        return self.build_ping(partner, secret=secret) if partner.sign_calls else None

    def is_test_response(self, partner: Partner, response: HttpResponse) -> bool:
        """Return whether there is a `status.code`, and no HTTP status that refuses the caller."""
        return response.status not in LOCKED_OUT and self.is_ping_response(partner, response)


def _request(partner: Partner, path: str, body: bytes, *, secret: str) -> OutgoingRequest:
    signature = sign_seamless(body, secret=secret) if partner.sign_calls else None
    return seamless_request(partner.url, path, body, signature=signature)


def _may_have_acted(status: int) -> bool:
    """Return whether the wallet may have acted, if its response has no code."""
    return 200 <= status <= 299 or status in GAVE_UP_WAITING  # noqa: PLR2004 - class of success


def _already_done(claim: Claim, wallet: WalletResponse, problem: str) -> Meaning:
    """Classify a call that the wallet says it did before: perhaps not one of ours.

    A second cancel has what it wants. A payout must be our own, or the player may lack it: it is
    confirmed only if an earlier attempt may have been executed, or its original was (rule 22). A
    first cancel would get the same response each time, so a person decides.
    """
    if claim.path == CANCEL:
        if claim.went_out_before:
            return Confirmed(_remarks(wallet, doubts=[ALREADY_DONE_AT_A_REPEAT, *wallet.repairs]))
        return Rejected(f"{problem} to the first call", wallet.message or None, _remarks(wallet))
    if claim.perhaps_delivered or claim.repeat:
        return Confirmed(_remarks(wallet, doubts=[ALREADY_DONE_AT_A_REPEAT, *wallet.repairs]))
    return NotNow(problem, _remarks(wallet))


def _doubts(claim: Claim, wallet: WalletResponse) -> list[str]:
    """Return what is suspicious about a success, as codes for lists and logs."""
    request = json.loads(claim.body, parse_float=Decimal)
    doubts = []
    if wallet.ref_id is None:
        doubts.append("ref_id_missing")
    elif wallet.ref_id.lower() != request["transactionId"]:
        doubts.append("ref_id_not_ours")
    moved = wallet.moved
    if moved is None:
        doubts.append("balance_missing")
    elif moved != request["amount"]:
        # What moved at an earlier attempt does not move again; this response cannot tell.
        repeated = moved == 0 and claim.went_out_before
        doubts.append("balance_unmoved_at_a_repeat" if repeated else "balance_moved_otherwise")
    return doubts


def _remarks(wallet: WalletResponse, *, doubts: list[str] | None = None) -> Remarks:
    """Return what is stored with the attempt; amounts as they were written, in currency units."""
    remarks = {
        "code": wallet.code,
        "message": wallet.message,
        "ref_id": wallet.ref_id,
        "balance_before": None if wallet.before is None else f"{wallet.before:f}",
        "balance_after": None if wallet.after is None else f"{wallet.after:f}",
        "doubts": doubts or None,
    }
    return {name: value for name, value in remarks.items() if value is not None}
