"""Shows the demo: on a terminal as a live screen, otherwise as a line every few seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from models.vocabulary import Status
from worker.cli.demo.database_stats import Closing, DemoCounts, DemoTicket, PartnerState
from worker.cli.demo.verdict import DemoVerdict

_BAR_WIDTH: Final = 40
_COLOURS: Final[Mapping[str, str]] = {
    Status.OPEN: "yellow",
    Status.RESULTED: "cyan",
    Status.CLOSED: "green",
}


@dataclass(frozen=True, slots=True)
class Starting:
    """The processes of the Procfile, before all of them are ready."""

    seconds: float  # since the demo began
    ready: Sequence[str]
    missing: Sequence[str]


@dataclass(frozen=True, slots=True)
class Frame:
    """The demo at one moment, once the processes are ready."""

    seconds: float  # since the demo began
    now: datetime
    phase: str
    tickets: int  # in the whole demo
    close_delay: timedelta
    published: int
    counts: DemoCounts
    notices_per_second: float
    partners: Sequence[PartnerState]
    closings: Sequence[Closing]
    lives: Sequence[DemoTicket]
    addresses: str


def title(tickets: int, close_delay: timedelta) -> str:
    """Describe what the demo shows."""
    return (
        f"{tickets:,} betting tickets. Backends publish what happens to each; Slipway sends it to"
        " the ticket's partner, signed and in order, and closes the ticket"
        f" 24 hours (here {close_delay.total_seconds():g} s) after the partner took the result."
    )


def as_line(picture: Starting | Frame) -> str:
    """Describe the picture in one line."""
    if isinstance(picture, Starting):
        ready, missing = len(picture.ready), ", ".join(picture.missing)
        progress = f"{ready} of {ready + len(picture.missing)} processes are ready"
        return f"{picture.seconds:5.1f} s  {progress}, starting {missing}"
    frame = picture
    counts = frame.counts.tickets
    states = ", ".join(f"{counts.get(status, 0)} {status}" for status in _COLOURS)
    down = "".join(
        f"; {partner.code} is down" for partner in frame.partners if partner.probe_at is not None
    )
    return (
        f"{frame.seconds:5.1f} s  {frame.phase}: {frame.published} events published; of"
        f" {frame.tickets} tickets {states}; {frame.notices_per_second:.0f} notices/s{down}"
    )


def as_screen(picture: Starting | Frame) -> RenderableType:
    """Return the whole picture."""
    if isinstance(picture, Starting):
        return _processes(picture)
    frame = picture
    head = Text(f"{frame.phase}, {frame.seconds:.0f} s   {frame.addresses}", style="dim")
    return Group(
        Text(title(frame.tickets, frame.close_delay)),
        head,
        Panel(_counts(frame), title="tickets by state", title_align="left"),
        Panel(_partners(frame), title="partners", title_align="left"),
        Panel(_closings(frame), title="next closings", title_align="left"),
        Panel(_lives(frame), title="a few tickets (✓ delivered)", title_align="left"),
    )


def as_verdict(verdict: DemoVerdict) -> RenderableType:
    """Return the verdict, check by check."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for check in verdict.checks:
        mark = Text("✓", style="green") if check.kept else Text("✗", style="bold red")
        table.add_row(mark, check.promise, Text(check.numbers, style="dim"))
    results = ", ".join(f"{count} {way}" for way, count in sorted(verdict.lives.items()))
    conclusion = "Everything is right." if verdict.kept else "Something is wrong:"
    style = "bold green" if verdict.kept else "bold red"
    violations = [Text(violation) for violation in verdict.violations]
    return Group(table, Text(f"tickets: {results}"), Text(conclusion, style=style), *violations)


def _processes(starting: Starting) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for name in starting.ready:
        table.add_row(Text("✓", style="green"), name)
    for name in starting.missing:
        table.add_row(Text("…", style="yellow"), Text(name, style="dim"))
    head = Text(f"starting the processes of the Procfile, {starting.seconds:.0f} s", style="dim")
    return Group(head, table)


def _counts(frame: Frame) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    for status, colour in _COLOURS.items():
        count = frame.counts.tickets.get(status, 0)
        width = round(_BAR_WIDTH * count / max(frame.tickets, 1))
        table.add_row(status, f"{count:5}", Text("█" * width, style=colour))
    table.add_row(
        "notices",
        f"{frame.counts.delivered:5}",
        f"{frame.notices_per_second:.0f}/s, {frame.counts.undelivered} waiting;"
        f" {frame.published} events published",
    )
    return table


def _partners(frame: Frame) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for partner in frame.partners:
        waiting = f"{partner.waiting} tickets waiting" if partner.waiting else ""
        if partner.probe_at is None:
            state = Text("accepts its notices", style="green")
        else:
            left = max(0.0, (partner.probe_at - frame.now).total_seconds())
            state = Text(f"is down: circuit open, next probe in {left:.0f} s", style="red")
        table.add_row(partner.code, state, waiting)
    return table


def _closings(frame: Frame) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for closing in frame.closings:
        left = (closing.due_at - frame.now).total_seconds()
        table.add_row(closing.operator, closing.ticket_id, closing.result, f"in {left:.1f} s")
    return table if frame.closings else Text("no close delay is running", style="dim")


def _lives(frame: Frame) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for life in frame.lives:
        table.add_row(life.ticket_id, _timeline(life, frame.now))
    return table if frame.lives else Text("no ticket yet", style="dim")


def _timeline(life: DemoTicket, now: datetime) -> Text:
    """`open → win ✓ → rollback ✓ → lost ✓ → closes in 4 s`."""
    timeline = Text("open")
    for step in life.steps:
        timeline.append(" → ", style="dim")
        timeline.append(step.action.removeprefix("ticket_"))
        timeline.append(
            " ✓" if step.delivered else " …", style="green" if step.delivered else "yellow"
        )
    if life.close_due_at is not None:
        left = max(0.0, (life.close_due_at - now).total_seconds())
        timeline.append(f" → closes in {left:.0f} s", style="cyan")
    return timeline
