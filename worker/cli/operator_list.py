"""Shows the operators. No secret ever comes this way."""

from models.durations import format_duration
from models.operators import OperatorLine, list_operators
from worker.cli.database import transaction
from worker.cli.output import moment, remark, show_json, show_table


def show_operators(*, as_json: bool) -> None:
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


def _row(line: OperatorLine) -> tuple[str, ...]:
    disabled = line.disabled_at is not None
    notes = [f"disabled {moment(line.disabled_at)}"] if disabled else []
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
