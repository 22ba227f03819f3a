"""The terms of delivery that a partner may have of its own, and what is wrong with them.

None of a term is the installation's default. The lists are texts as a person writes them, which is
how they are stored; delivery reads them once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from models.operators.problems import OperatorProblem
from models.operators.statuses import Statuses
from models.platform.durations import format_duration, parse_duration
from models.vocabulary import RESULTS, SENT_ONCE, Action

TIMEOUT_MIN: Final = timedelta(seconds=1)
TIMEOUT_MAX: Final = timedelta(seconds=60)
RETRY_LIMIT_MIN: Final = timedelta(minutes=1)
RETRY_LIMIT_MAX: Final = timedelta(days=14)
PAUSE_MIN: Final = timedelta(seconds=1)
PAUSE_MAX: Final = timedelta(hours=24)
PAUSES_MAX: Final = 20
KEEP_BODIES_MIN: Final = timedelta(hours=1)
KEEP_BODIES_MAX: Final = timedelta(days=3660)
USER_AGENT_CHARACTERS_MAX: Final = 200
SUCCESS_TEXT_CHARACTERS_MAX: Final = 200
# Money hangs on these: the partner debits by them, or undoes that.
ALWAYS_SENT: Final = (*sorted(SENT_ONCE), Action.DISCARD)
SENDABLE: Final = (
    Action.CREATE,
    Action.RESERVE,
    Action.UPDATE,
    Action.DISCARD,
    Action.WIN,
    Action.LOST,
    Action.VOID,
    Action.REFUND,
    Action.ROLLBACK,
    Action.CLOSED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryTerms:
    """How notices are sent to one partner; the fields are columns of the operator's table."""

    user_agent: str | None = None
    timeout: timedelta | None = None  # of one call, from connecting to the last byte
    retry_schedule: str | None = None  # the pauses, `10s,1m,1h`; the last repeats
    retry_limit: timedelta | None = None  # the sum of the pauses after which a notice is dead
    taken: str | None = None  # statuses that mean it has it, `2xx,409`; PAM
    create_taken: str | None = None  # the same of create and reserve; PAM
    success_json: bool = False  # a success must be JSON
    success_text: str | None = None  # and hold this text
    wants: str | None = None  # the actions it is sent, `ticket_win,ticket_lost`; None: all
    pass_trace: bool = False  # calls name the trace that they belong to, in a header
    # After the ticket's end (rule 28); None: as long as the ticket.
    keep_bodies: timedelta | None = None


def parse_pauses(text: str) -> tuple[timedelta, ...]:
    """Read the pauses of a retry schedule. Raises ValueError, with an example."""
    pauses = tuple(parse_duration(part.strip()) for part in text.split(","))
    if len(pauses) > PAUSES_MAX:
        raise ValueError(f"at most {PAUSES_MAX} pauses can be given; the last one repeats")
    for pause in pauses:
        if not PAUSE_MIN <= pause <= PAUSE_MAX:
            raise ValueError(
                f"a pause must be from {format_duration(PAUSE_MIN)} to"
                f" {format_duration(PAUSE_MAX)}, not {format_duration(pause)}"
            )
    return pauses


def parse_actions(text: str) -> frozenset[Action]:
    """Read the actions that a partner wants; those of ALWAYS_SENT are among them in any case.

    Raises ValueError, which lists them all.
    """
    known = {str(action): action for action in SENDABLE}
    actions = set(ALWAYS_SENT)
    for part in map(str.strip, text.split(",")):
        if part not in known:
            raise ValueError(f"{part[:40]!r} is not an action; write some of: {','.join(known)}")
        actions.add(known[part])
    return frozenset(actions)


def delivery_problems(terms: DeliveryTerms, *, is_wallet: bool) -> Iterator[OperatorProblem]:
    """Find every mistake in *terms*."""
    yield from _text_problems(terms)
    yield from _time_problems(terms)
    yield from _success_problems(terms, is_wallet=is_wallet)
    yield from _wants_problems(terms, is_wallet=is_wallet)


def delivery_warnings(
    terms: DeliveryTerms,
    *,
    retention: timedelta,
    discard_interval: timedelta,
    retry_limit: timedelta,
) -> Iterator[str]:
    """Find what is allowed in *terms*, but does not fit the installation's settings.

    The settings may change after the terms were checked, so none of this is refused.
    """
    limit = retry_limit if terms.retry_limit is None else terms.retry_limit
    if limit >= retention:
        yield (
            f"retry limit {format_duration(limit)} is not shorter than SLIPWAY_RETENTION"
            f" ({format_duration(retention)}): tickets whose notices are still tried stay longer"
        )
    if limit <= discard_interval:
        yield (
            f"retry limit {format_duration(limit)} is not longer than SLIPWAY_DISCARD_INTERVAL"
            f" ({format_duration(discard_interval)}): a discard is repeated once at most"
        )
    if terms.retry_limit is None and terms.retry_schedule is not None:
        last = parse_pauses(terms.retry_schedule)[-1]
        if last > retry_limit:
            yield (
                f"the retry schedule ends with {format_duration(last)}, which is longer than"
                f" SLIPWAY_RETRY_LIMIT ({format_duration(retry_limit)}); set a retry limit, too"
            )
    if terms.keep_bodies is not None and terms.keep_bodies >= retention:
        yield (
            f"bodies are kept for {format_duration(terms.keep_bodies)}, which is not shorter than"
            f" SLIPWAY_RETENTION ({format_duration(retention)}): most tickets are removed before"
        )


def _text_problems(terms: DeliveryTerms) -> Iterator[OperatorProblem]:
    agent = terms.user_agent
    if agent is not None and not (
        1 <= len(agent) <= USER_AGENT_CHARACTERS_MAX
        and agent.isascii()
        and agent.isprintable()
        and agent == agent.strip()
    ):
        yield OperatorProblem(
            f"the user agent must be 1 to {USER_AGENT_CHARACTERS_MAX} printable ASCII characters,"
            " without a space at either end",
            field="user_agent",
        )
    text = terms.success_text
    if text is not None and not (1 <= len(text) <= SUCCESS_TEXT_CHARACTERS_MAX):
        yield OperatorProblem(
            f"the text of a success must be 1 to {SUCCESS_TEXT_CHARACTERS_MAX} characters",
            field="success_text",
        )
    elif text is not None and not text.isprintable():
        yield OperatorProblem(
            "the text of a success must be printable characters on one line", field="success_text"
        )


def _time_problems(terms: DeliveryTerms) -> Iterator[OperatorProblem]:
    bounds = (
        ("timeout", TIMEOUT_MIN, TIMEOUT_MAX),
        ("retry_limit", RETRY_LIMIT_MIN, RETRY_LIMIT_MAX),
        ("keep_bodies", KEEP_BODIES_MIN, KEEP_BODIES_MAX),
    )
    for name, least, most in bounds:
        value: timedelta | None = getattr(terms, name)
        if value is not None and not least <= value <= most:
            yield OperatorProblem(
                f"{name.replace('_', ' ')} must be from {format_duration(least)} to"
                f" {format_duration(most)}",
                field=name,
            )
    if terms.retry_schedule is None:
        return
    try:
        pauses = parse_pauses(terms.retry_schedule)
    except ValueError as refusal:
        yield OperatorProblem(f"retry schedule: {refusal}", field="retry_schedule")
        return
    if terms.retry_limit is not None and pauses[-1] > terms.retry_limit:
        yield OperatorProblem(
            "the retry schedule must not end with a pause longer than the retry limit",
            field="retry_schedule",
        )


def _success_problems(terms: DeliveryTerms, *, is_wallet: bool) -> Iterator[OperatorProblem]:
    for name in ("taken", "create_taken"):
        text: str | None = getattr(terms, name)
        if text is None:
            continue
        if is_wallet:
            yield OperatorProblem(
                f"{name.replace('_', ' ')}: a wallet says in its status.code whether it has it,"
                " whatever the HTTP status",
                field=name,
            )
            continue
        try:
            Statuses.parse(text)
        except ValueError as refusal:
            yield OperatorProblem(f"{name.replace('_', ' ')}: {refusal}", field=name)
    if is_wallet and (terms.success_json or terms.success_text is not None):
        yield OperatorProblem(
            "a wallet's success is always JSON with a status.code; nothing else can be asked of it",
            field="success_json" if terms.success_json else "success_text",
        )


def _wants_problems(terms: DeliveryTerms, *, is_wallet: bool) -> Iterator[OperatorProblem]:
    if terms.wants is None:
        return
    if is_wallet:
        yield OperatorProblem(
            "wants: every call to a wallet moves money, so none can be left out", field="wants"
        )
        return
    try:
        wanted = parse_actions(terms.wants)
    except ValueError as refusal:
        yield OperatorProblem(f"wants: {refusal}", field="wants")
        return
    results = RESULTS & wanted
    if results and Action.ROLLBACK not in wanted:
        named = ", ".join(sorted(results))
        yield OperatorProblem(
            f"wants: add {Action.ROLLBACK}, which belongs to {named}: without it the partner would"
            " keep a result that was taken back",
            field="wants",
        )
    elif Action.ROLLBACK in wanted and not results:
        yield OperatorProblem(
            f"wants: leave out {Action.ROLLBACK}, or add the results that it takes back: one of"
            f" {', '.join(sorted(RESULTS))}",
            field="wants",
        )
