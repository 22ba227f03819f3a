"""Tells a ticket's story on the screen, for support staff."""

from collections.abc import Iterator
from typing import assert_never

import typer

from models.clock import DatabaseClock
from models.durations import format_duration
from models.story import (
    AttemptFact,
    EventFact,
    InterventionFact,
    RefusedFact,
    Story,
    TicketFact,
    read_stories,
    timeline,
    why_not_closed,
)
from models.story.sentence import said_by
from models.story.timeline import Closed, Ended, Owed, Tried, What
from worker.cli.database import transaction
from worker.cli.errors import Failed
from worker.cli.output import as_text, moment, plain, remark, show_json, show_table

_WORDS_MAX = 200  # of what a partner wrote


def tell(ticket_id: str, *, operator: str | None, as_json: bool) -> None:
    """Print the story of every ticket with this id. Raises Failed when there is none."""
    with transaction() as connection:
        stories = read_stories(connection, ticket_id, operator=operator)
        now = DatabaseClock().now(connection)
    if not stories:
        whose = "" if operator is None else f" of operator {operator}"
        raise Failed(
            f"no ticket {ticket_id}{whose} is known; what was refused before it could become an"
            " event is listed by `slipway events rejected list`"
        )
    if as_json:
        show_json([_document(story, why_not_closed(story, now=now)) for story in stories])
        return
    for number, story in enumerate(stories):
        if number:
            typer.echo()
        _show(story, why_not_closed(story, now=now))
        if story.cut:
            remark("there is more than is shown here; --json shows no more either")


def _document(story: Story, sentence: str) -> dict[str, object]:
    return {"sentence": sentence, **{str(k): v for k, v in _fields(story).items()}}


def _fields(story: Story) -> dict[str, object]:
    document = plain(story)
    assert isinstance(document, dict), "a dataclass becomes an object"
    return document


def _show(story: Story, sentence: str) -> None:
    ticket = story.ticket
    typer.echo(f"Ticket {ticket.ticket_id} of {ticket.operator}: {as_text(sentence)}")
    typer.echo(f"{', '.join(_standing(ticket))} (times are UTC)")
    typer.echo()
    rows = [(moment(one.at), *_row(one.what)) for one in timeline(story)]
    show_table(("when", "what", "which", "how it ended", "details"), rows)


def _standing(ticket: TicketFact) -> Iterator[str]:
    yield f"status {ticket.status}"
    yield f"result {ticket.result}"
    yield f"generation {ticket.generation}"
    yield f"close delay {format_duration(ticket.close_delay)}"
    if ticket.close_due_at is not None:
        yield f"closes at {moment(ticket.close_due_at)}"
    if ticket.closed_at is not None:
        yield f"closed at {moment(ticket.closed_at)}"


def _row(what: What) -> tuple[str, str, str, str]:  # noqa: PLR0911 - one line for each kind
    match what:
        case EventFact():
            return "event", what.action, _outcome(what), _details(what)
        case Owed(notice):
            return "notice", notice.action, f"number {notice.number}", "owed to the partner"
        case Tried(notice, attempt, number):
            return "attempt", notice.action, attempt.verdict, _answer(attempt, number)
        case Ended(notice):
            return "notice", notice.action, str(notice.ended), notice.reason or ""
        case InterventionFact():
            return "person", what.did, f"by {what.who}", what.why
        case RefusedFact():
            return "refused", what.event_id or what.entry_id, what.reason, what.message
        case Closed():
            return "clock", "close", "closed", "the closing time has come"
        case _:
            assert_never(what)


def _outcome(event: EventFact) -> str:
    if event.status_before == event.status_after:
        return f"{event.outcome} ({event.status_after})"
    return f"{event.outcome} ({event.status_before} to {event.status_after})"


def _details(event: EventFact) -> str:
    said = [f"id {event.event_id}"]
    if event.reason is not None:
        said.insert(0, event.reason)
    if event.occurred_at is not None:
        said.append(f"happened {moment(event.occurred_at)}")
    if event.park_until is not None:
        said.append(f"waits until {moment(event.park_until)}")
    if event.repeats:
        said.append(f"came {event.repeats} more times, last {moment(event.repeated_at)}")
    return ", ".join(said)


def _answer(attempt: AttemptFact, number: int) -> str:
    took = f"attempt {number}: {said_by(attempt)} in {attempt.took.total_seconds():.3f} s"
    words = (attempt.problem if attempt.http_status is not None else None) or attempt.answer
    return took if not words else f"{took}: {words[:_WORDS_MAX]}"
