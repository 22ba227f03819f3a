"""What people did, in sentences: one text for each word that an intervention is recorded with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from models.access.facts import summarize_access

Facts = Mapping[str, Any]


def _nothing(_facts: Facts) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class ActText:
    """How an act is named, and what its facts add: `Dropped an event`, `ticket_win e-1`."""

    title: str
    details: Callable[[Facts], str] = _nothing


def act_title(did: str) -> str:
    """Return what a person did in a few words, whichever facts there are."""
    known = ACTS.get(did)
    return did.replace("_", " ").capitalize() if known is None else known.title


def act_sentence(did: str, facts: Facts) -> str:
    """Return what a person did in a sentence, with the facts that matter. It holds no secret."""
    known = ACTS.get(did)
    details = "" if known is None else known.details(facts)
    return f"{act_title(did)}: {details}" if details else act_title(did)


def _value(facts: Facts, name: str) -> str:
    """Return a fact as a word; empty if there is none (any more)."""
    fact = facts.get(name)
    if isinstance(fact, list):
        return ", ".join(map(str, fact))
    return "" if fact is None else str(fact)


def _named(*names: str) -> Callable[[Facts], str]:
    """Build the details that are the values of these facts."""

    def details(facts: Facts) -> str:
        return " ".join(filter(None, (_value(facts, name) for name in names)))

    return details


def _end(end: object) -> str:
    """Return an event's outcome and reason: `rejected (unknown_operator)`."""
    if not isinstance(end, Mapping):
        return ""
    outcome, reason = end.get("outcome"), end.get("reason")
    return f"{outcome} ({reason})" if reason else str(outcome)


def _event(facts: Facts) -> str:
    entry = f"entry {facts['entry_id']}" if facts.get("entry_id") else ""
    event = " ".join(filter(None, (_value(facts, "action"), _value(facts, "event_id"))))
    return ", ".join(filter(None, (entry, event)))


def _retried_event(facts: Facts) -> str:
    now = " as if it happened now" if facts.get("as_now") else ""
    before, after = _end(facts.get("was")), _end(facts.get("is"))
    if not before or not after:
        return _event(facts) + now
    change = f"it is {after} as before" if before == after else f"it was {before} and is {after}"
    return f"{_event(facts)}{now}; {change}"


def _dropped_event(facts: Facts) -> str:
    before = _end(facts.get("was"))
    return f"{_event(facts)}; it was {before}" if before else _event(facts)


def _notice(facts: Facts) -> str:
    perhaps = "; the partner may have received it" if facts.get("perhaps_delivered") else ""
    way = _value(facts, "way").replace("_", " ")
    how = f" ({way})" if way and way != "retry" else ""
    return f"{_value(facts, 'action')} of generation {_value(facts, 'generation')}{how}{perhaps}"


def _sent_again(facts: Facts) -> str:
    if facts.get("refused"):
        return f"it was not possible: {facts['refused']}"
    count = facts.get("notices")
    notices = "1 notice" if count == 1 else f"{count} notices"
    left_out = facts.get("left_out")
    without = f", {len(left_out)} left out" if isinstance(left_out, list) and left_out else ""
    return f"{notices} from number {_value(facts, 'from')} on{without}"


def _published_event(facts: Facts) -> str:
    what = f"{_value(facts, 'action')}, event {_value(facts, 'event_id')}"
    return f"{what}: {_value(facts, 'outcome')}"


def _held(facts: Facts) -> str:
    waiting = facts.get("unfinished")
    return f"the ticket was {_value(facts, 'status')}, {waiting} notices not yet delivered"


def _changes(facts: Facts) -> str:
    """Return `user anna; role from viewer to support`."""
    parts = [f"user {facts['user']}"] if facts.get("user") else []
    for name, change in facts.items():
        label = name.replace("_", " ")
        if isinstance(change, Mapping) and {"from", "to"} <= change.keys():
            parts.append(f"{label} from {change['from']} to {change['to']}")
        elif name != "user" and change not in (None, False):
            parts.append(label if change is True else f"{label} {change}")
    return "; ".join(parts)


def _job(facts: Facts) -> str:
    what = f"{_value(facts, 'kind').replace('_', ' ')}, job {_value(facts, 'job')}"
    if expected := _value(facts, "expected"):
        return f"{what}, for {expected}"
    return f"{what}, after {_value(facts, 'done')} done" if "done" in facts else what


def _user(facts: Facts) -> str:
    role = _value(facts, "role")
    return f"{_value(facts, 'user')} with the role {role}" if role else _value(facts, "user")


def _ended_sessions(facts: Facts) -> str:
    ended = facts.get("sessions_ended")
    return f"{_value(facts, 'user')}; sessions ended: {ended}" if ended else _value(facts, "user")


def _access(facts: Facts) -> str:
    access = facts.get("access")
    summary = summarize_access(access if isinstance(access, Mapping) else {})
    since = _value(facts, "switch_at")
    return f"{summary}, from {since} on" if since else summary


def _rotation(facts: Facts) -> str:
    return (
        f"the new one signs from {_value(facts, 'switch_at')} on, the old one is accepted until"
        f" {_value(facts, 'forget_at')}"
    )


def _call(facts: Facts) -> str:
    """Return `signed test, responded 200 after 12 ms, signature accepted`."""
    kind = "signed test" if facts.get("signed") else "ping"
    status = facts.get("status")
    response = "no response" if status is None else f"responded {status}"
    after = f"{response} after {facts.get('took_ms')} ms"
    token = facts.get("token")
    if isinstance(token, Mapping) and token.get("problem"):
        after = "no token could be had, so nothing was sent"
    signature = facts.get("signature")
    return ", ".join([kind, after, *([f"signature {signature}"] if signature else [])])


def _counts(facts: Facts) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')}: {count}" for name, count in facts.items() if count is not None
    )


def _imported(facts: Facts) -> str:
    state = " ".join(filter(None, (_value(facts, "state"), _value(facts, "result"))))
    return f"as {state}" if state else ""


ACTS: Final[Mapping[str, ActText]] = {
    "event_retried": ActText("Had an event decided again", _retried_event),
    "event_dropped": ActText("Dropped an event", _dropped_event),
    "event_published": ActText("Published an event by hand", _published_event),
    "raw_event_retried": ActText("Had unreadable input processed again", _retried_event),
    "raw_event_dropped": ActText("Dropped unreadable input", _dropped_event),
    "notice_retried": ActText("Had a dead notice sent again", _notice),
    "notice_skipped": ActText("Skipped a dead notice", _notice),
    "notices_sent_again": ActText("Sent delivered notices once more", _sent_again),
    "ticket_held": ActText("Put the ticket on hold", _held),
    "ticket_released": ActText("Released the ticket from its hold"),
    "ticket_imported": ActText("Imported the ticket", _imported),
    "job_started": ActText("Started a job", _job),
    "job_stopped": ActText("Stopped a job", _job),
    "operator_added": ActText("Added the operator"),
    "operator_changed": ActText("Changed the operator's terms", _changes),
    "operator_disabled": ActText("Disabled the operator: nothing is sent to the partner"),
    "operator_enabled": ActText("Enabled the operator again"),
    "partner_pinged": ActText("Called the partner by hand", _call),
    "partnership_ended": ActText("Ended the partnership", _counts),
    "access_changed": ActText("Set what calls carry for the partner's gateway", _access),
    "secret_rotated": ActText("Set a new secret", _rotation),
    "secrets_resealed": ActText("Encrypted all secrets with the newest key", _counts),
    "publisher_added": ActText("Added a publisher", _named("publisher")),
    "publisher_revoked": ActText("Revoked a publisher's key", _named("publisher")),
    "user_added": ActText("Added a user", _user),
    "user_changed": ActText("Changed a user", _changes),
    "user_disabled": ActText("Disabled a user", _ended_sessions),
    "user_enabled": ActText("Enabled a user again", _named("user")),
    "user_signed_out": ActText("Ended a user's sessions", _ended_sessions),
    "token_added": ActText("Added an API token", _named("token", "role")),
    "token_revoked": ActText("Revoked an API token", _named("token")),
}
"""By the word in `intervention.did`. `tests/rules/test_acts.py` finds those without a text."""
