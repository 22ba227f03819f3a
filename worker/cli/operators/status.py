"""Shows how the partners are doing."""

from datetime import datetime, timedelta

from models.monitoring.operators import COUNTED_MAX, OperatorHealth, operator_health
from models.platform.clock import DatabaseClock
from models.platform.durations import format_duration
from worker.cli.database import transaction
from worker.cli.output import moment, remark, show_json, show_table

_COLUMNS = (
    *("code", "circuit", "in flight", "due", "oldest", "undelivered for", "dead"),
    *("success", "p50", "p99", ""),
)
_SECOND = timedelta(seconds=1)


def show_status(code: str | None, *, as_json: bool) -> None:
    """Print the health of all operators, or of the one with this *code*."""
    with transaction() as connection:
        now = DatabaseClock().now(connection)
        found = operator_health(connection, now=now, code=code)
    if as_json:
        show_json(found)
        return
    if not found:
        remark("no operator yet; add one with `slipway operators add`")
        return
    show_table(_COLUMNS, [_row(one, now) for one in found])
    for one in found:
        if one.circuit_advice is not None:
            remark(f"{one.code} ({one.circuit_cause}): {one.circuit_advice}")


def _row(one: OperatorHealth, now: datetime) -> tuple[str, ...]:
    rate = "" if one.rate is None else f", {one.rate:g}/s"
    return (
        one.code,
        one.circuit,
        f"{one.in_flight}/{one.in_flight_max}{rate}",
        _count(one.due),
        "-" if one.oldest_due_at is None else _age(one.oldest_due_at, now),
        "-" if one.undelivered_since is None else _age(one.undelivered_since, now),
        _count(one.dead),
        "-" if one.success_rate is None else f"{one.success_rate:.1%}",
        _milliseconds(one.p50_ms),
        _milliseconds(one.p99_ms),
        "; ".join(_notes(one)),
    )


def _notes(one: OperatorHealth) -> list[str]:
    notes = []
    if one.circuit_since is not None:
        since = f"{one.circuit} since {moment(one.circuit_since)}"
        notes.append(since if one.circuit_reason is None else f"{since}: {one.circuit_reason}")
    if one.next_probe_at is not None:
        notes.append(f"next probe {moment(one.next_probe_at)}")
    if one.disabled_at is not None:
        notes.append(f"disabled since {moment(one.disabled_at)}")
    return notes


def _count(count: int) -> str:
    return f"{count}+" if count >= COUNTED_MAX else str(count)


def _age(at: datetime, now: datetime) -> str:
    return format_duration((now - at) // _SECOND * _SECOND)


def _milliseconds(count: int | None) -> str:
    return "-" if count is None else f"{count} ms"
