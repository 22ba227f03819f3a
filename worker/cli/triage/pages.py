"""Shows one event, raw input or dead notice with all there is to know of it."""

import json
from collections.abc import Iterable, Iterator, Mapping

import typer

from models.history import AttemptFact
from models.lifecycle.advance import NO_WINDOW
from models.triage import DeadNoticeStory, LoggedEvent, NotPossible, RawInput, find_dead
from models.vocabulary import Action, Outcome
from worker.cli.errors import Failed
from worker.cli.events.change import can_be_retried
from worker.cli.output import as_text, bounded, moment, plain, show_json, show_table
from worker.cli.triage.lists import last_answer
from worker.cli.triage.options import Choice
from worker.cli.triage.session import session
from worker.cli.triage.targets import find_one

_WORDS_MAX = 500  # of what a partner wrote; `--json` has all that is kept
_RAW_SHOWN_MAX = 4000  # characters; `--json` has all of it


def show_event(outcome: Outcome, event_id: str, choice: Choice, *, as_json: bool) -> None:
    """Print one event of *outcome*. Raises Failed or WrongUsage where the id means none or many."""
    with session() as desk:
        found = desk.do(lambda connection, _: find_one(connection, event_id, outcome, choice))
        retry = can_be_retried(desk, outcome, found)
    if as_json:
        document = _object(found)
        document.pop("key", None)
        if isinstance(found, RawInput):
            document["raw"] = found.raw.decode(errors="replace")
        show_json({**document, "can_be_retried": retry})
    elif isinstance(found, RawInput):
        _show([*_raw_facts(found), ("can be retried", retry)])
        _show_text("raw", found.raw.decode(errors="replace"))
    else:
        _show([*_event_facts(found), ("can be retried", retry)])
        _show_text("data", json.dumps(found.data, ensure_ascii=False, indent=2))


def show_notice(notice_id: int, *, as_json: bool) -> None:
    """Print one dead notice. Raises Failed where there is none of this id."""
    try:
        with session() as desk:
            story = desk.do(lambda connection, _: find_dead(connection, notice_id))
    except NotPossible as refusal:
        raise Failed(str(refusal)) from None
    if as_json:
        document = _object(story)
        notice = document.pop("notice")
        assert isinstance(notice, dict), "a dataclass becomes an object"
        show_json({**notice, **document})
        return
    _show(_notice_facts(story))
    _show_text("body", story.body)
    if story.attempts:
        typer.echo("attempts:")
        columns = ("when", "verdict", "took", "answered", "words")
        show_table(columns, map(_attempt_row, story.attempts))
    if story.waiting:
        behind = (f"{one.action} (generation {one.generation})" for one in story.waiting)
        typer.echo(f"behind it wait: {', '.join(behind)}")
    typer.echo(f"ways out: {_ways_out(story)}")


def _event_facts(event: LoggedEvent) -> Iterator[tuple[str, str]]:
    yield "event", event.event_id
    yield "ticket", f"{event.ticket_id} of {event.operator}, {event.status} now"
    yield "action", event.action
    yield "outcome", event.outcome
    yield "reason", event.reason or "-"
    yield "details", event.message or "-"
    yield "ticket before", event.status_before
    yield "ticket after", event.status_after
    told = [f"{one.action} ({one.ended or 'not taken yet'})" for one in event.notices]
    yield "notices", ", ".join(told) or "none"
    if event.occurred_at is not None:
        yield "happened", f"{moment(event.occurred_at)}, as it says"
    yield "counts as of", moment(event.order_time)
    yield "received", moment(event.received_at)
    yield "decided", moment(event.decided_at)
    if event.park_until is not None:
        answered = event.park_until >= NO_WINDOW
        yield "waits until", "the partner has answered" if answered else moment(event.park_until)
    if event.sequence is not None:
        yield "number", str(event.sequence)
    if event.repeats:
        yield "came again", f"{event.repeats} times, last {moment(event.repeated_at)}"
    if event.dropped_at is not None:
        yield "dropped", moment(event.dropped_at)
    yield "stream entry", event.entry_id or "-"


def _raw_facts(raw: RawInput) -> Iterator[tuple[str, str]]:
    yield "stream entry", raw.entry_id
    yield "reason", raw.reason
    yield "details", raw.message
    yield "type", raw.kind or "-"
    yield "operator", raw.operator or "-"
    yield "ticket", raw.ticket_id or "-"
    yield "event", raw.event_id or "-"
    yield "received", moment(raw.received_at)
    yield "rejected", moment(raw.rejected_at)
    if raw.dropped_at is not None:
        yield "dealt with", moment(raw.dropped_at)


def _notice_facts(story: DeadNoticeStory) -> Iterator[tuple[str, str]]:
    notice = story.notice
    yield "notice", f"{notice.id}, number {notice.number} of its ticket"
    yield "ticket", f"{notice.ticket_id} of {notice.operator}, {story.status} now"
    yield "action", f"{notice.action}, generation {notice.generation}"
    yield "caused by", story.event_id or "-"
    yield "owed since", moment(story.created_at)
    yield "dead since", moment(notice.dead_since)
    yield "reason", notice.reason or "-"
    yield "last answer", last_answer(notice)
    yield "perhaps delivered", "yes" if notice.perhaps_delivered else "no"
    if notice.operator_disabled_at is not None:
        yield "operator", f"disabled since {moment(notice.operator_disabled_at)}"


def _ways_out(story: DeadNoticeStory) -> str:
    """Rule 18, for this notice."""
    notice = story.notice
    ways = ["retry"] if story.body else []
    ways.append("skip --delivered (the partner has it, or it was settled by hand)")
    if notice.action != Action.ROLLBACK:
        ways.append("skip --not-delivered (the partner does not have it and never gets it)")
    return "; ".join(ways)


def _attempt_row(attempt: AttemptFact) -> tuple[str, ...]:
    return (
        moment(attempt.recorded_at),
        attempt.verdict,
        f"{attempt.took.total_seconds():.3f} s",
        "-" if attempt.http_status is None else str(attempt.http_status),
        bounded(attempt.answer or attempt.problem or "-", _WORDS_MAX),
    )


def _show(facts: Iterable[tuple[str, str]]) -> None:
    for name, value in facts:
        typer.echo(f"{name + ':':<19}{as_text(value)}")


def _show_text(name: str, text: str) -> None:
    """Print a text of outsiders, line by line, without what could steer a terminal."""
    typer.echo(f"{name}:")
    for line in text[:_RAW_SHOWN_MAX].splitlines():
        typer.echo(f"  {as_text(line)}")
    if len(text) > _RAW_SHOWN_MAX:
        typer.echo(f"  … ({len(text) - _RAW_SHOWN_MAX:,} more characters; --json has them)")


def _object(value: object) -> dict[str, object]:
    document = plain(value)
    assert isinstance(document, Mapping), "a dataclass becomes an object"
    return {str(name): inner for name, inner in document.items()}
