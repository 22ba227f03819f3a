"""Changes a partner's terms: a form with the mistakes beside its fields."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from http import HTTPStatus
from typing import Any, Final, cast

import anyio
from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from models.operators import (
    Changed,
    OperatorInvalid,
    OperatorLine,
    OperatorPatch,
    OperatorTerms,
    change_operator,
)
from models.operators.change import TermsChanged, terms_facts
from models.operators.delivery_terms import DeliveryTerms
from models.operators.listing import show_changeable
from models.operators.problems import OperatorProblem
from models.operators.validation import LOTTERY_TICKETS
from models.operators.words import format_term
from models.platform.durations import parse_duration
from models.platform.typed_times import parse_rate
from worker.console.addresses import PathId, path_of
from worker.console.console import Console, TheConsole
from worker.console.flash import Tone
from worker.console.forms import EXPECTED_FIELD, Act, TheAct
from worker.console.people import Operations
from worker.console.refusals import invalid
from worker.console.rendering import render, see_other
from worker.doctor.terms import warnings_about

_RESOLVE_SECONDS: Final = 3.0  # for the addresses of the URL's host
_EXPECTED_MAX: Final = 4000
_YES: Final = "yes"

_BOOLEANS: Final = ("sign_calls", "announces_tickets", "success_json", "pass_trace")
# Terms of delivery that are empty where the installation's own holds.
_OWN_TEXTS: Final = tuple(term.name for term in fields(DeliveryTerms) if term.name not in _BOOLEANS)
_MAY_BE_EMPTY: Final = frozenset({"rate", "agent", *_OWN_TEXTS})
_WALLET_ONLY: Final = frozenset({"agent", "sign_calls"})
_PAM_ONLY: Final = frozenset(
    {"announces_tickets", "taken", "create_taken", "success_json", "success_text"}
)

routes = APIRouter()


@dataclass(frozen=True, slots=True)
class TypedTerms:
    """The form's fields as texts, and what is wrong with each."""

    texts: Mapping[str, str]
    problems: Mapping[str, str] = field(default_factory=dict)


@routes.get("/partners/{code}/terms")
async def terms(request: Request, _user: Operations, console: TheConsole, code: PathId) -> Response:
    """Show the form."""
    operator = await console.read(lambda connection: show_changeable(connection, code))
    facts = _facts_of(operator)
    return _form(request, operator, TypedTerms(_texts(facts)), facts)


@routes.post("/partners/{code}/terms")
async def change_terms(
    request: Request, _user: Operations, act: TheAct, console: TheConsole, code: PathId
) -> Response:
    """Change what differs from what the person saw."""
    operator = await console.read(lambda connection: show_changeable(connection, code))
    seen = _seen(act)
    patch, typed = _read(act, operator, seen)
    if typed.problems:
        return _form(request, operator, typed, seen, act=act)

    def change(connection: Connection) -> Changed:
        return change_operator(
            connection, code, cast("OperatorPatch", patch), person=act.person, seen=seen
        )

    try:
        changed = await console.change(change)
    except OperatorInvalid as refusal:
        wrong = TypedTerms(typed.texts, _by_field(refusal.problems))
        return _form(request, operator, wrong, seen, act=act)
    except TermsChanged as refusal:
        message = f"{str(refusal)[:1].upper()}{str(refusal)[1:]} Nothing was done: check the form"
        present = _facts_of(operator) | {
            name: after for name, (_, after) in refusal.differing.items()
        }
        return _form(
            request, operator, typed, present, act=act, stale=f"{message} and send it again."
        )
    message = await _message(console, changed)
    tone: Tone = "good" if changed.before else "neutral"
    return see_other(request, path_of("partners", code), message=message, tone=tone)


def _facts_of(operator: OperatorLine) -> dict[str, object]:
    names = OperatorTerms.__dataclass_fields__
    return terms_facts(OperatorTerms(**{name: getattr(operator, name) for name in names}))


def _form(
    request: Request,
    operator: OperatorLine,
    typed: TypedTerms,
    seen: Mapping[str, object],
    *,
    act: Act | None = None,
    stale: str | None = None,
) -> Response:
    """Render the form: empty of mistakes when it is opened, else with those that were made."""
    status = HTTPStatus.OK if act is None else HTTPStatus.UNPROCESSABLE_ENTITY
    return render(
        request,
        "partner_terms.html",
        status=HTTPStatus.CONFLICT if stale else status,
        code=operator.code,
        operator=operator,
        texts=typed.texts,
        problems=typed.problems,
        stale=stale,
        reason="" if act is None else act.person.why,
        expected=json.dumps(dict(seen), sort_keys=True),
        lottery_tickets=LOTTERY_TICKETS,
        yes=_YES,
    )


def _seen(act: Act) -> dict[str, object]:
    """Return the terms that the form was filled with. Raises PageRefused."""
    try:
        seen = json.loads((act.expected or "")[:_EXPECTED_MAX])
    except ValueError:
        seen = None
    known = OperatorTerms.__dataclass_fields__
    if not isinstance(seen, dict) or seen.keys() != known.keys():
        raise invalid(
            f"The form lacks {EXPECTED_FIELD!r}: the terms that it was opened with. Nothing was"
            " done: open it again."
        )
    return seen


def _texts(facts: Mapping[str, object]) -> dict[str, str]:
    """Return the terms as the form shows them."""
    rate = facts["rate"]
    booleans = {name: _YES if facts[name] else "" for name in _BOOLEANS}
    return {
        "url": str(facts["url"]),
        "agent": "" if facts["agent"] is None else str(facts["agent"]),
        "close_delay": str(facts["close_delay"]),
        "rate": f"{rate:g}/s" if isinstance(rate, int | float) else "",
        "in_flight": str(facts["in_flight"]),
        "timezone": str(facts["timezone"]),
        "lottery_ticket": str(facts["lottery_ticket"]),
        **{name: str(facts[name] or "") for name in _OWN_TEXTS},
        **booleans,
    }


def _read(
    act: Act, operator: OperatorLine, seen: Mapping[str, object]
) -> tuple[dict[str, Any], TypedTerms]:
    """Return the fields that the person changed, as values, and all of them as texts."""
    former = _texts(seen)
    texts = {name: act.text(name) for name in former}
    skipped = _PAM_ONLY if operator.protocol == "seamless" else _WALLET_ONLY
    patch: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for name in former.keys() - skipped:
        if texts[name] == former[name]:
            continue
        try:
            patch[name] = _value(name, texts[name])
        except ValueError as refusal:
            problems[name] = str(refusal)
    return patch, TypedTerms(texts, problems)


def _value(name: str, text: str) -> object:
    """Read one field. Raises ValueError, which says how to write it."""
    if name in _BOOLEANS:
        return text == _YES
    if not text and name in _MAY_BE_EMPTY:
        return None
    match name:
        case "close_delay" | "timeout" | "retry_limit" | "keep_bodies":
            return parse_duration(text)
        case "rate":
            return parse_rate(text)
        case "in_flight":
            if not (text.isascii() and text.isdigit() and len(text) <= len("1000000")):
                raise ValueError("write a whole number of calls, like 32")
            return int(text)
        case _:
            return text


def _by_field(problems: tuple[OperatorProblem, ...]) -> dict[str, str]:
    """Return the mistakes by field; what belongs to none stands at the URL, the first field."""
    by_field: dict[str, str] = {}
    for problem in problems:
        name = problem.field or "url"
        by_field[name] = "; ".join(filter(None, (by_field.get(name), problem.text)))
    return by_field


async def _message(console: Console, changed: Changed) -> str:
    """Say what differs now, and what of it is probably not meant."""
    if not changed.before:
        return "Nothing was changed: the terms have these values already."
    differences = [
        f"{name.replace('_', ' ')}: {format_term(before)} -> "
        f"{format_term(getattr(changed.terms, name))}"
        for name, before in changed.before.items()
    ]
    warnings: list[str] = []
    with anyio.move_on_after(_RESOLVE_SECONDS):  # a resolver may hang for half a minute
        warnings = await anyio.to_thread.run_sync(
            lambda: warnings_about(changed.terms, console.settings), abandon_on_cancel=True
        )
    return ". ".join([f"Changed: {'; '.join(differences)}", *(f"Note: {w}" for w in warnings)])
