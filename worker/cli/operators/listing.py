"""Shows the operators. No secret is ever read here."""

from collections.abc import Iterator
from dataclasses import fields

import typer

from models.operators import OperatorChange, OperatorLine, list_operators, show_operator
from models.operators.delivery_terms import DeliveryTerms
from models.operators.words import format_term
from models.platform.durations import format_duration
from worker.cli.database import transaction
from worker.cli.output import moment, remark, show_json, show_table


def show_all(*, as_json: bool) -> None:
    """Print all operators."""
    with transaction() as connection:
        lines = list_operators(connection)
    if as_json:
        show_json(lines)
        return
    if not lines:
        remark("no operator yet; add one with `slipway operators add`")
        return
    columns = ("code", "protocol", "url", "close delay", "in flight", "rate", "keys", "since", "")
    show_table(columns, [_row(line) for line in lines])


def show_one(code: str, *, as_json: bool) -> None:
    """Print one operator and its latest changes."""
    with transaction() as connection:
        page = show_operator(connection, code)
    if as_json:
        show_json(page)
        return
    show_table(("setting", ""), _settings(page.operator))
    if page.changes:
        typer.echo()
        show_table(
            ("changed", "by", "what", "why"), [_change_row(change) for change in page.changes]
        )


def _settings(line: OperatorLine) -> Iterator[tuple[str, str]]:
    yield "code", line.code
    yield "protocol", line.protocol
    yield "url", line.url
    if line.protocol == "seamless":
        yield "agent", line.agent or "-"
        yield "signs requests", _yes(line.sign_calls)
    yield "close delay", format_duration(line.close_delay)
    yield "rate", "unlimited" if line.rate is None else f"{line.rate:g}/s"
    yield "in flight", str(line.in_flight)
    yield "announces tickets", _yes(line.announces_tickets)
    yield "lottery ticket", line.lottery_ticket
    yield "timezone", line.timezone
    yield from _own_terms(line)
    yield "keys", ", ".join(line.keys) or "-"
    if line.switch_at is not None:
        yield "new secret signs from", moment(line.switch_at)
        yield "old secret accepted until", moment(line.forget_at)
    yield "disabled since", moment(line.disabled_at)
    if line.ended_at is not None:
        yield "ended", moment(line.ended_at)
    yield "added", moment(line.created_at)


def _own_terms(line: OperatorLine) -> Iterator[tuple[str, str]]:
    for term in fields(DeliveryTerms):
        value = getattr(line, term.name)
        if value != term.default:
            yield term.name.replace("_", " "), format_term(value)


def _change_row(change: OperatorChange) -> tuple[str, ...]:
    facts = [
        f"{name.replace('_', '-')}: {_format_fact(fact)}" for name, fact in change.facts.items()
    ]
    details = f" ({', '.join(facts)})" if change.did == "operator_changed" else ""
    return moment(change.at), change.who, change.did.replace("_", " ") + details, change.why


def _format_fact(fact: object) -> str:
    if isinstance(fact, dict) and {"from", "to"} <= fact.keys():
        return f"{fact['from']} -> {fact['to']}"
    return str(fact)


def _yes(value: bool) -> str:  # noqa: FBT001 - it is the value itself
    return "yes" if value else "no"


def _row(line: OperatorLine) -> tuple[str, ...]:
    notes = [] if line.ended_at is None else [f"ended {moment(line.ended_at)}"]
    notes += [f"disabled {moment(line.disabled_at)}"] if line.disabled_at is not None else []
    notes += ["announces tickets"] if line.announces_tickets else []
    return (
        line.code,
        line.protocol,
        line.url,
        format_duration(line.close_delay),
        str(line.in_flight),
        "-" if line.rate is None else f"{line.rate:g}/s",
        str(len(line.keys)) if line.keys else "-",
        moment(line.created_at),
        ", ".join(notes),
    )
