"""Says what a job does, from its arguments, in a sentence for people. No personal data is in it."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from models.jobs.values import Arguments, Job
from models.platform.timestamps import format_timestamp

_ANSWER_HIDDEN: Final = "a text that this page hides"
_RATE_FROM: Final = timedelta(seconds=1)  # over less time it says nothing

_ITEMS: Final[Mapping[str, str]] = {
    "retry_notices": "dead notices",
    "skip_notices": "dead notices",
    "retry_events": "events",
    "drop_events": "events",
    "end_partnership": "tickets",
    "erase_player": "tickets",
    "send_again": "ticket",
    "send_operator_again": "tickets",
}


def items_of(job: Job) -> str:
    """Return what the job counts: `dead notices`, `tickets`."""
    return _ITEMS.get(job.kind, "items")


def describe_job(job: Job, *, with_texts: bool = True) -> str:
    """Describe what the job does, and to what.

    *with_texts*: with the parts of partners' answers that were looked for, which may name a player.
    """
    describe = _SENTENCES.get(job.kind)
    if describe is None:
        return f"Does {job.kind}, which this release does not know."
    return describe(job.arguments, with_texts)


def rate_of(job: Job) -> float | None:
    """Return how many items a second had their turn; None if that cannot be told."""
    if job.started_at is None or job.progressed_at is None or not job.handled:
        return None
    took = job.progressed_at - job.started_at
    return job.handled / took.total_seconds() if took >= _RATE_FROM else None


def time_left(job: Job) -> timedelta | None:
    """Return how long the rest takes at the present rate; None if that cannot be told."""
    rate = rate_of(job)
    left = job.expected.number - job.handled
    if job.has_ended or rate is None or not job.expected.exact or left <= 0:
        return None
    return timedelta(seconds=left / rate)


def _retry_notices(arguments: Arguments, texts: bool) -> str:  # noqa: FBT001 - called by position
    return f"Retries {_notices(arguments, texts)}: each is sent again, with a full retry schedule."


def _skip_notices(arguments: Arguments, texts: bool) -> str:  # noqa: FBT001 - as above
    which = _notices(arguments, texts)
    if arguments.get("delivered"):
        return f"Skips {which}: the partner has them, so they count as delivered."
    return f"Skips {which}: the partner does not have them and is never sent them."


def _retry_events(arguments: Arguments, _texts: bool) -> str:  # noqa: FBT001 - as above
    as_now = " and happened now" if arguments.get("as_now") else ""
    return f"Retries {_events(arguments)}: they are processed as if they had just arrived{as_now}."


def _drop_events(arguments: Arguments, _texts: bool) -> str:  # noqa: FBT001 - as above
    return f"Drops {_events(arguments)}: they leave the lists and stay in the log."


def _end_partnership(arguments: Arguments, _texts: bool) -> str:  # noqa: FBT001 - as above
    return (
        f"Ends the tickets of {arguments.get('operator')}, whose partnership has ended: what its"
        " partner has not accepted is skipped."
    )


def _erase_player(arguments: Arguments, _texts: bool) -> str:  # noqa: FBT001 - as above
    return (
        f"Erases the data of a player of {arguments.get('operator')} (erasure"
        f" {arguments.get('erasure')}); what an open ticket needs is erased when that ticket ends."
    )


def _send_again(arguments: Arguments, _texts: bool) -> str:  # noqa: FBT001 - as above
    return (
        f"Sends ticket {arguments.get('ticket_id')} of {arguments.get('operator')} again from"
        f" notice {arguments.get('notice')} on, once nothing of it is unfinished."
    )


def _send_operator_again(arguments: Arguments, _texts: bool) -> str:  # noqa: FBT001 - as above
    since, until = _time(arguments.get("since")), _time(arguments.get("until"))
    return (
        f"Sends again what the partner {arguments.get('operator')} took between {since} and"
        f" {until}, ticket by ticket."
    )


def _notices(arguments: Arguments, texts: bool) -> str:  # noqa: FBT001 - as above
    if arguments.get("ids"):
        return _chosen(len(arguments["ids"]), "dead notice")
    parts = _filters(arguments if texts else {**arguments, "reason": None}, "died")
    if not texts and arguments.get("reason") is not None:
        parts.insert(0, f"with {_ANSWER_HIDDEN} in the reason")
    if (status := arguments.get("http_status")) is not None:
        parts.insert(0, f"last answered with status {status}")
    if (answer := arguments.get("answer")) is not None:
        quoted = f"“{answer}”" if texts else _ANSWER_HIDDEN
        parts.insert(0, f"whose last answer contains {quoted}")
    return _all("dead notices", arguments, parts)


def _events(arguments: Arguments) -> str:
    outcome = arguments.get("outcome", "")
    named = len(arguments.get("keys") or ()) + len(arguments.get("entries") or ())
    if named:
        return _chosen(named, f"{outcome} event")
    ended = "were parked" if outcome == "parked" else f"were {outcome}"
    return _all(f"{outcome} events", arguments, _filters(arguments, ended))


def _chosen(number: int, what: str) -> str:
    return f"1 chosen {what}" if number == 1 else f"{number:,} chosen {what}s"


def _all(what: str, arguments: Arguments, parts: list[str]) -> str:
    operator = arguments.get("operator")
    of = "of all partners" if operator is None else f"of {operator}"
    if (ticket := arguments.get("ticket_id")) is not None:
        of = f"of ticket {ticket} {of}"
    if (action := arguments.get("action")) is not None:
        what = f"{what} ({action})"
    return ", ".join([f"all {what} {of}", *parts])


def _filters(arguments: Arguments, ended: str) -> list[str]:
    parts = []
    if (reason := arguments.get("reason")) is not None:
        parts.append(f"with the reason “{reason}”")
    if (since := arguments.get("since")) is not None:
        parts.append(f"that {ended} since {_time(since)}")
    if (until := arguments.get("until")) is not None:
        parts.append(f"that {ended} until {_time(until)}")
    return parts


def _time(stored: Any) -> str:  # noqa: ANN401 - JSON
    """Return a stored time to the second; anything else as it is."""
    try:
        return format_timestamp(datetime.fromisoformat(str(stored)), "seconds")
    except ValueError:
        return str(stored)


_SENTENCES: Final[Mapping[str, Callable[[Arguments, bool], str]]] = {
    "retry_notices": _retry_notices,
    "skip_notices": _skip_notices,
    "retry_events": _retry_events,
    "drop_events": _drop_events,
    "end_partnership": _end_partnership,
    "erase_player": _erase_player,
    "send_again": _send_again,
    "send_operator_again": _send_operator_again,
}
