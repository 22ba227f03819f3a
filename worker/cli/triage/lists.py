"""Shows what needs a person, newest first."""

from collections.abc import Iterable, Sequence

from models.lifecycle.advance import NO_WINDOW
from models.triage import DeadNotice, Listed, list_dead, list_events, list_rejected
from models.vocabulary import Outcome
from worker.cli.output import bounded, moment, plain, remark, show_json, show_table
from worker.cli.triage.options import Choice
from worker.cli.triage.session import selection, session

_ANSWER_SHOWN_MAX = 80


def show_events(outcome: Outcome, choice: Choice, *, as_json: bool) -> None:
    """Print the newest events of *outcome* that fit."""
    with session() as desk:
        listed = desk.do(
            lambda connection, now: (
                list_rejected(connection, selection(choice, now), limit=choice.limit)
                if outcome is Outcome.REJECTED
                else list_events(connection, outcome, selection(choice, now), limit=choice.limit)
            )
        )
    if as_json:
        show_json([_document(one) for one in listed])
        return
    _show(f"{outcome.value} events", _columns(outcome), [_row(one) for one in listed], choice)


def show_dead(choice: Choice, *, as_json: bool) -> None:
    """Print the newest dead notices that fit."""
    with session() as desk:
        dead = desk.do(
            lambda connection, now: list_dead(
                connection, selection(choice, now), limit=choice.limit
            )
        )
    if as_json:
        show_json(dead)
        return
    columns = (
        *("id", "dead since", "operator", "ticket", "notice", "generation", "delivered"),
        *("behind it", "last answer", "reason"),
    )
    _show("dead notices", columns, [_dead_row(one) for one in dead], choice)


def last_answer(notice: DeadNotice) -> str:
    """The status and the first words of what the partner answered last."""
    if notice.http_status is None:
        return "-"
    words = bounded(notice.answer or "", _ANSWER_SHOWN_MAX)
    return f"{notice.http_status} {words}".strip()


def _show(what: str, columns: Sequence[str], rows: Iterable[Sequence[str]], choice: Choice) -> None:
    listed = list(rows)
    if not listed:
        remark(f"no {what}")
        return
    show_table(columns, listed)
    if len(listed) == choice.limit:
        remark(f"these are the newest {choice.limit}; there may be more (--limit)")


def _columns(outcome: Outcome) -> tuple[str, ...]:
    return (outcome.value, "operator", "ticket", "id", "action", "reason", "details")


def _row(one: Listed) -> tuple[str, ...]:
    return (
        moment(one.at),
        one.operator or "-",
        one.ticket_id or "-",
        one.id,
        one.action or "-",
        one.reason or "-",
        "; ".join(_details(one)),
    )


def _details(one: Listed) -> Iterable[str]:
    if one.is_harmless:
        yield "harmless: it says what stands"
    if one.park_until is not None:
        yield f"waits until {until(one)}"
    if one.message:
        yield one.message
    if one.status is not None:
        yield f"the ticket is {one.status} now"
    if one.is_raw:
        yield "kept raw" + ("" if one.event_id is None else f" (event {one.event_id})")


def until(one: Listed) -> str:
    """When a parked event's wait ends."""
    if one.park_until is None or one.park_until >= NO_WINDOW:
        return "the partner has answered"
    return moment(one.park_until)


def _document(one: Listed) -> dict[str, object]:
    document = plain(one)
    assert isinstance(document, dict), "a dataclass becomes an object"
    return {**document, "is_harmless": one.is_harmless}


def _dead_row(one: DeadNotice) -> tuple[str, ...]:
    return (
        str(one.id),
        moment(one.dead_since),
        one.operator,
        one.ticket_id,
        one.action,
        str(one.generation),
        "perhaps" if one.perhaps_delivered else "no",
        str(one.behind),
        last_answer(one),
        one.reason or "-",
    )
