"""What a partner's terms ask of a success: its status, and what has to be in its body (PAM)."""

import json
from typing import Final, NoReturn

from models.operators.statuses import ANY_SUCCESS, ONLY_OK, Statuses, read_statuses
from models.outbox.values import Partner
from worker.delivery.http.decoding import compression_of
from worker.delivery.http.exchange import HttpResponse

_JSON_BEGINNINGS: Final = ("{", "[")


def taken_statuses(partner: Partner, *, sent_once: bool) -> Statuses:
    """Return the statuses that mean the partner has it. *sent_once*: a create or reserve."""
    terms, usual = (partner.create_taken, ONLY_OK) if sent_once else (partner.taken, ANY_SUCCESS)
    return usual if terms is None else read_statuses(terms)


def lacking(partner: Partner, response: HttpResponse) -> str | None:
    """Return what the terms ask of a success and this body does not have; None if it has all."""
    if not partner.success_json and partner.success_text is None:
        return None
    packed = compression_of(response)
    if packed is not None:
        return f"with a body that cannot be read (compression: {packed})"
    text = response.body.decode("utf-8-sig", "replace")
    if partner.success_json and not _is_json(text, truncated=response.truncated):
        what = "with a body that is not JSON" if text.strip() else "without a body"
        return f"{what}; a success of this partner is JSON"
    if partner.success_text is not None and partner.success_text not in text:
        where = f" in its first {len(response.body) // 1024} KiB" if response.truncated else ""
        return f"without the text of a success{where}: {partner.success_text!r}"
    return None


def _is_json(text: str, *, truncated: bool) -> bool:
    """Return whether *text* is JSON; of one that was cut off, whether it begins like it."""
    if truncated:
        return text.lstrip().startswith(_JSON_BEGINNINGS)
    try:
        json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(constant: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python reads and JSON does not have."""
    raise ValueError(constant)
