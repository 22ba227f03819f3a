"""An operator as a person describes it: what it must be like, what is allowed but doubtful."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from models.events.messages import nfc_problem
from models.events.stream_contract import ID_CHARACTERS_MAX
from models.platform.durations import format_duration
from models.tables.operator import PROTOCOLS

LOTTERY_TICKETS: Final = ("ticket", "ticket+draw")
URL_CHARACTERS_MAX: Final = 2000
CLOSE_DELAY_MAX: Final = timedelta(days=366)
RATE_MAX: Final = 100_000.0
IN_FLIGHT_MAX: Final = 10_000
SECRET_CHARACTERS_MAX: Final = 1000
SECRET_CHARACTERS_GOOD: Final = 16
API_KEY_CHARACTERS_MIN: Final = 20  # only its fast hash is kept, so it must be beyond guessing
API_KEY_CHARACTERS_MAX: Final = 200


class OperatorInvalid(ValueError):
    """An operator cannot be as described; *problems* are one sentence for each mistake."""

    def __init__(self, problems: Sequence[str]) -> None:
        """Keep the problems; the message is all of them."""
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorTerms:
    """What holds for an operator, its secrets apart; the fields are columns of its table."""

    code: str
    url: str
    protocol: str
    agent: str | None = None
    sign_calls: bool = False  # seamless: calls carry `x-amb-signature` (contracts: AMBSlot 2.1)
    close_delay: timedelta = timedelta(hours=24)
    announces_tickets: bool = False
    rate: float | None = None  # notices per second
    in_flight: int = 32
    timezone: str = "UTC"
    lottery_ticket: str = "ticket"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOperator(OperatorTerms):
    """An operator to be added, with its credentials.

    *secret* signs and verifies (contracts: BetStack 1.3), *api_key* is the publisher key that its
    lottery feed presents; both in clear, and in no repr.
    """

    secret: str = field(repr=False)
    api_key: str | None = field(default=None, repr=False)


def check_new_operator(new: NewOperator) -> None:
    """Raise OperatorInvalid with every mistake in *new*, not only the first."""
    _refuse([*_terms_problems(new), *_secret_problems(new.secret), *_api_key_problems(new)])


def check_terms(terms: OperatorTerms) -> None:
    """Raise OperatorInvalid with every mistake in *terms*, not only the first."""
    _refuse([*_terms_problems(terms)])


def check_secret(secret: str) -> None:
    """Raise OperatorInvalid if *secret* cannot be one; says nothing about it but its length."""
    _refuse([*_secret_problems(secret)])


def terms_warnings(
    terms: OperatorTerms, *, parking_window: timedelta, refused: Sequence[str], public: bool
) -> list[str]:
    """What is allowed, but probably not meant.

    *refused*: addresses of the URL's host to which delivery may not connect; *public*: it has one
    that is reached over the internet. Whoever may look names up and knows the networks says so.
    """
    found = []
    if terms.close_delay < parking_window:
        # protocol.md 2.7
        found.append(
            f"close delay {format_duration(terms.close_delay)} is shorter than"
            f" SLIPWAY_PARKING_WINDOW ({format_duration(parking_window)}): an event that arrives"
            " out of order may find its ticket closed"
        )
    if refused:
        found.append(
            f"{urlsplit(terms.url).hostname} is {refused[0]}, a private address outside"
            " SLIPWAY_PARTNER_NETWORKS: nothing will be sent there until that setting names its"
            " network"
        )
    if public and urlsplit(terms.url).scheme == "http":
        found.append("the URL is http, not https: notices travel readable for everyone on the way")
    return found


def secret_warnings(secret: str) -> list[str]:
    """What is doubtful about *secret*, without a word of it."""
    if len(secret) >= SECRET_CHARACTERS_GOOD:
        return []
    short = (
        f"the secret has {len(secret)} characters; with fewer than {SECRET_CHARACTERS_GOOD} its"
        " signatures can be forged by guessing"
    )
    return [short]


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise OperatorInvalid(problems)


def _terms_problems(terms: OperatorTerms) -> Iterator[str]:
    yield from _name_problems(terms)
    yield from _url_problems(terms)
    yield from _limit_problems(terms)


def _name_problems(new: OperatorTerms) -> Iterator[str]:
    if not _is_id(new.code):
        yield (
            f"code {new.code[:80]!r} must be 1 to {ID_CHARACTERS_MAX} printable characters"
            " without spaces"
        )
    if problem := nfc_problem(new.code):
        yield f"code {problem}"
    if new.protocol not in PROTOCOLS:
        yield f"protocol {new.protocol[:80]!r} must be one of: {', '.join(PROTOCOLS)}"
    if new.lottery_ticket not in LOTTERY_TICKETS:
        yield (
            f"lottery ticket {new.lottery_ticket[:80]!r} must be one of:"
            f" {', '.join(LOTTERY_TICKETS)}"
        )
    if new.protocol == "seamless" and new.agent is None:
        yield "a seamless operator needs an agent, the wallet's name for us: --agent A"
    if new.agent is not None and not _is_id(new.agent):
        yield (
            f"agent {new.agent[:80]!r} must be 1 to {ID_CHARACTERS_MAX} printable characters"
            " without spaces"
        )
    if new.sign_calls and new.protocol != "seamless":
        yield "--sign is for seamless operators; what goes to a PAM operator is always signed"
    try:
        ZoneInfo(new.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        # ValueError: an absolute path; OSError: the name of a folder of zones
        yield f"timezone {new.timezone[:80]!r} is not known; write one like Europe/Malta or UTC"


def _url_problems(new: OperatorTerms) -> Iterator[str]:
    if len(new.url) > URL_CHARACTERS_MAX:
        yield f"the URL has {len(new.url)} characters; at most {URL_CHARACTERS_MAX} are taken"
        return
    shown = _without_userinfo(new.url)
    if not new.url.isascii() or not new.url.isprintable() or " " in new.url:
        yield (
            f"URL {shown!r} must be printable ASCII without spaces; percent-encode the rest, and"
            " write a host in other scripts as punycode"
        )
        return
    try:
        parts = urlsplit(new.url)
        _ = parts.port  # asked for its check: it raises when the port is no number
    except ValueError as refusal:
        # The reason may repeat what was taken for a port, which may be a password's rest.
        why = "percent-encode what is special in it" if "@" in new.url else refusal
        yield f"URL {shown!r} cannot be read: {why}"
        return
    yield from _part_problems(parts, shown, seamless=new.protocol == "seamless")


def _part_problems(parts: SplitResult, shown: str, *, seamless: bool) -> Iterator[str]:
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        yield f"URL {shown!r} must be http:// or https:// with a host"
    if "@" in parts.netloc:
        yield f"URL {shown!r} must not carry a user or password; partners are told by signature"
    if parts.fragment or shown.endswith("#"):
        yield f"URL {shown!r} must not have a fragment (the part from # on)"
    if seamless and parts.query:
        yield f"URL {shown!r} must not have a query: a seamless call's path is put behind the URL"


def _limit_problems(new: OperatorTerms) -> Iterator[str]:
    if not timedelta() <= new.close_delay <= CLOSE_DELAY_MAX:
        yield f"close delay must be from 0s to {format_duration(CLOSE_DELAY_MAX)}"
    if new.rate is not None and not (math.isfinite(new.rate) and 0 < new.rate <= RATE_MAX):
        yield f"rate must be above 0 and at most {RATE_MAX:,.0f} notices per second"
    if not 1 <= new.in_flight <= IN_FLIGHT_MAX:
        yield f"in flight must be from 1 to {IN_FLIGHT_MAX:,} requests"


def _secret_problems(secret: str) -> Iterator[str]:
    """Sentences that say nothing about a secret but its length."""
    if not 1 <= len(secret) <= SECRET_CHARACTERS_MAX or not secret.isprintable():
        yield (
            f"the secret must be 1 to {SECRET_CHARACTERS_MAX} printable characters on one line"
            f" (it has {len(secret)})"
        )


def _api_key_problems(new: NewOperator) -> Iterator[str]:
    """Sentences that say nothing about a key but its length."""
    if new.api_key is None:
        return
    length = len(new.api_key)
    if length < API_KEY_CHARACTERS_MIN:
        yield (
            f"the API key has {length} characters; it needs at least {API_KEY_CHARACTERS_MIN},"
            " because only a hash of it is kept and a short one can be found by guessing"
        )
    elif length > API_KEY_CHARACTERS_MAX or re.fullmatch(r"[!-~]+", new.api_key) is None:
        yield (
            f"the API key must be at most {API_KEY_CHARACTERS_MAX} ASCII characters without"
            " spaces, because it travels in a header"
        )
    elif new.api_key == new.secret:
        yield "the API key must not be the secret: the partner knows that one"


def _is_id(text: str) -> bool:
    return 1 <= len(text) <= ID_CHARACTERS_MAX and text.isprintable() and " " not in text


def _without_userinfo(url: str) -> str:
    """The URL for a message, without the password somebody may have put into it."""
    return re.sub(r"//.*@", "//…@", url, flags=re.DOTALL)[:200]
