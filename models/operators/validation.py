"""Checks an operator as a person describes it: mistakes, and what is allowed but doubtful."""

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
from models.operators.delivery_terms import DeliveryTerms, delivery_problems
from models.operators.problems import OperatorInvalid, OperatorProblem
from models.platform.durations import format_duration
from models.vocabulary import PROTOCOLS

LOTTERY_TICKETS: Final = ("ticket", "ticket+draw")
URL_CHARACTERS_MAX: Final = 2000
CLOSE_DELAY_MAX: Final = timedelta(days=366)
RATE_MAX: Final = 100_000.0
IN_FLIGHT_MAX: Final = 10_000
SECRET_CHARACTERS_MAX: Final = 1000
SECRET_CHARACTERS_GOOD: Final = 16
API_KEY_CHARACTERS_MIN: Final = 20  # only a fast hash is kept, so guessing must be hopeless
API_KEY_CHARACTERS_MAX: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorTerms(DeliveryTerms):
    """What holds for an operator, without its secrets; the fields are columns of its table."""

    code: str
    url: str
    protocol: str
    agent: str | None = None
    sign_calls: bool = False  # seamless: calls carry `x-amb-signature` (contracts 2.1)
    close_delay: timedelta = timedelta(hours=24)
    announces_tickets: bool = False
    rate: float | None = None  # notices per second
    in_flight: int = 32
    timezone: str = "UTC"
    lottery_ticket: str = "ticket"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOperator(OperatorTerms):
    """An operator to be added, with its credentials.

    *secret* signs and verifies (contracts 1.3), *api_key* is the publisher key that its lottery
    feed presents; both unencrypted, and in no repr.
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
    """Raise OperatorInvalid if *secret* cannot be one, disclosing nothing but its length."""
    _refuse([*_secret_problems(secret)])


def terms_warnings(terms: OperatorTerms, *, parking_window: timedelta) -> list[str]:
    """Return sentences about what is allowed, but probably not meant; not about the URL."""
    if terms.close_delay >= parking_window:
        return []
    shorter = (  # promise 7
        f"close delay {format_duration(terms.close_delay)} is shorter than SLIPWAY_PARKING_WINDOW"
        f" ({format_duration(parking_window)}): an event that arrives out of order may find its"
        " ticket closed"
    )
    return [shorter]


def url_warnings(
    url: str, *, name: str, sent: str, refused: Sequence[str], public: bool
) -> list[str]:
    """Return sentences about what is allowed in *url*, but probably not meant.

    *name*: what people call it; *sent*: what calls carry there. *refused*: addresses of its host to
    which delivery may not connect; *public*: it has one that is reached over the internet. The
    caller looks the name up and knows the networks.
    """
    warnings = []
    if refused:
        warnings.append(
            f"{urlsplit(url).hostname} is {refused[0]}, a private address outside"
            " SLIPWAY_PARTNER_NETWORKS: nothing will be sent there until that setting names its"
            " network"
        )
    if public and urlsplit(url).scheme == "http":
        warnings.append(f"the {name} is http, not https: everyone on the way can read {sent}")
    return warnings


def secret_warnings(secret: str) -> list[str]:
    """Return sentences about what is doubtful in *secret*, without any part of it."""
    if len(secret) >= SECRET_CHARACTERS_GOOD:
        return []
    too_short = (
        f"the secret has {len(secret)} characters; with fewer than {SECRET_CHARACTERS_GOOD} its"
        " signatures can be forged by guessing"
    )
    return [too_short]


def _refuse(problems: Sequence[OperatorProblem]) -> None:
    if problems:
        raise OperatorInvalid(problems)


def _terms_problems(terms: OperatorTerms) -> Iterator[OperatorProblem]:
    yield from _name_problems(terms)
    yield from _url_problems(terms)
    yield from _limit_problems(terms)
    yield from delivery_problems(terms, is_wallet=terms.protocol == "seamless")


def _name_problems(new: OperatorTerms) -> Iterator[OperatorProblem]:
    id_rule = f"must be 1 to {ID_CHARACTERS_MAX} printable characters without spaces"
    if not _is_id(new.code):
        yield OperatorProblem(f"code {new.code[:80]!r} {id_rule}", field="code")
    if problem := nfc_problem(new.code):
        yield OperatorProblem(f"code {problem}", field="code")
    if new.protocol not in PROTOCOLS:
        yield OperatorProblem(
            f"protocol {new.protocol[:80]!r} must be one of: {', '.join(PROTOCOLS)}",
            field="protocol",
        )
    if new.lottery_ticket not in LOTTERY_TICKETS:
        yield OperatorProblem(
            f"lottery ticket {new.lottery_ticket[:80]!r} must be one of:"
            f" {', '.join(LOTTERY_TICKETS)}",
            field="lottery_ticket",
        )
    if new.protocol == "seamless" and new.agent is None:
        yield OperatorProblem(
            "a seamless operator needs an agent, the wallet's name for us", field="agent"
        )
    if new.agent is not None and not _is_id(new.agent):
        yield OperatorProblem(f"agent {new.agent[:80]!r} {id_rule}", field="agent")
    if new.sign_calls and new.protocol != "seamless":
        yield OperatorProblem(
            "signing is optional for seamless operators only; calls to a PAM operator are always"
            " signed",
            field="sign_calls",
        )
    try:
        ZoneInfo(new.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        # ValueError: an absolute path; OSError: the name of a folder of zones
        yield OperatorProblem(
            f"timezone {new.timezone[:80]!r} is not known; write one like Europe/Malta or UTC",
            field="timezone",
        )


def _url_problems(new: OperatorTerms) -> Iterator[OperatorProblem]:
    for problem in url_mistakes(new.url):
        yield OperatorProblem(problem, field="url")


def url_mistakes(url: str) -> Iterator[str]:
    """Find what is wrong with the URL that calls go to. No sentence holds its password."""
    if len(url) > URL_CHARACTERS_MAX:
        yield f"the URL has {len(url)} characters; at most {URL_CHARACTERS_MAX} are taken"
        return
    shown = _without_secrets(url)
    if not url.isascii() or not url.isprintable() or " " in url:
        yield (
            f"URL {shown!r} must be printable ASCII without spaces; percent-encode the rest, and"
            " write a host in other scripts as punycode"
        )
        return
    parts = _split(url)
    if parts is None:
        yield (
            f"URL {shown!r} cannot be read: a port is a number from 1 to 65535, an IPv6 address"
            " stands in brackets, and special characters are percent-encoded"
        )
        return
    yield from _part_problems(parts, shown)
    if "#" in url:
        yield f"URL {shown!r} must not have a fragment (the part from # on)"


def _split(url: str) -> SplitResult | None:
    """Return the URL's parts, or None: what is taken for its port may be a part of a password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    return None if port == 0 else parts


def _part_problems(parts: SplitResult, shown: str) -> Iterator[str]:
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        yield f"URL {shown!r} must be http:// or https:// with a host"
    if "@" in parts.netloc:
        yield f"URL {shown!r} must not hold a user or password; a signature authenticates calls"


def _limit_problems(new: OperatorTerms) -> Iterator[OperatorProblem]:
    if not timedelta() <= new.close_delay <= CLOSE_DELAY_MAX:
        yield OperatorProblem(
            f"close delay must be from 0s to {format_duration(CLOSE_DELAY_MAX)}",
            field="close_delay",
        )
    if new.rate is not None and not (math.isfinite(new.rate) and 0 < new.rate <= RATE_MAX):
        yield OperatorProblem(
            f"rate must be above 0 and at most {RATE_MAX:,.0f} notices per second", field="rate"
        )
    if not 1 <= new.in_flight <= IN_FLIGHT_MAX:
        yield OperatorProblem(
            f"in flight must be from 1 to {IN_FLIGHT_MAX:,} requests", field="in_flight"
        )


def _secret_problems(secret: str) -> Iterator[OperatorProblem]:
    """Find what is wrong with a secret; its length is all that the sentences disclose."""
    if not 1 <= len(secret) <= SECRET_CHARACTERS_MAX or not secret.isprintable():
        yield OperatorProblem(
            f"the secret must be 1 to {SECRET_CHARACTERS_MAX} printable characters on one line"
            f" (it has {len(secret)})",
            field="secret",
        )


def _api_key_problems(new: NewOperator) -> Iterator[OperatorProblem]:
    """Find what is wrong with a key; its length is all that the sentences disclose."""
    if new.api_key is None:
        return
    length = len(new.api_key)
    if length < API_KEY_CHARACTERS_MIN:
        yield OperatorProblem(
            f"the API key has {length} characters; it needs at least {API_KEY_CHARACTERS_MIN},"
            " because only a hash of it is kept and a short one can be found by guessing",
            field="api_key",
        )
    elif length > API_KEY_CHARACTERS_MAX or re.fullmatch(r"[!-~]+", new.api_key) is None:
        yield OperatorProblem(
            f"the API key must be at most {API_KEY_CHARACTERS_MAX} ASCII characters without"
            " spaces, because it is sent in a header",
            field="api_key",
        )
    elif new.api_key == new.secret:
        yield OperatorProblem(
            "the API key must not be the secret: the partner knows the secret", field="api_key"
        )


def _is_id(text: str) -> bool:
    return 1 <= len(text) <= ID_CHARACTERS_MAX and text.isprintable() and " " not in text


def _without_secrets(url: str) -> str:
    """Return the URL for a message: without user, password and query, and no port of letters."""
    shown = re.sub(r"//.*@", "//…@", url, flags=re.DOTALL)
    shown = re.sub(r"\?.*", "?…", shown, flags=re.DOTALL)
    return re.sub(r"(//[^/?#:\[]*):(?!\d{1,5}(?:[/?#]|$))[^/?#]*", r"\1:…", shown)[:200]
