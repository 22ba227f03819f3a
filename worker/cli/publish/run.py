"""Publishes a file line by line, a group at a time, and knows each event's line."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Final
from uuid import uuid4

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from models.settings.settings import read_settings
from producers.publisher import (
    EventUnsendable,
    NotOnDisk,
    Publisher,
    PublishIncomplete,
    SetupRefused,
)
from worker.cli.errors import Failed, ReportedError, WrongUsage
from worker.cli.output import console, remark, show_json
from worker.cli.publish.event_lines import BadLine, Read, lines_of, opened
from worker.cli.publish.outcomes import OutcomeWatch

GROUP_EVENTS: Final = 500
GROUPS_PER_SECOND: Final = 10  # at a given rate: so that it is kept within a second, too


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """How a file is published. *rate*: events per second; *wait*: for their outcomes, so long."""

    from_line: int = 1
    keep_going: bool = False
    rate: float | None = None
    wait: timedelta | None = None
    as_json: bool = False

    @property
    def group_events(self) -> int:
        """How many events share a round trip, at most."""
        if self.rate is None:
            return GROUP_EVENTS
        return max(1, min(GROUP_EVENTS, int(self.rate / GROUPS_PER_SECOND)))


@dataclass(slots=True)
class _PublishTotals:
    next_line: int  # from which on nothing is known to be on the stream
    published: int = 0
    bad: list[BadLine] = field(default_factory=list)


class _Publishing:
    """One run of the command."""

    def __init__(
        self, way: PublishOptions, publisher: Publisher, watch: OutcomeWatch | None
    ) -> None:
        self.tally = _PublishTotals(next_line=way.from_line)
        self._way = way
        self._publisher = publisher
        self._watch = watch
        self._began = time.monotonic()

    def publish(self, group: list[Read]) -> None:
        """Publish a group; an event the publisher refuses is a bad line like any other."""
        rest = group
        while rest:
            try:
                rest = self._try(rest)
            except PublishIncomplete as refusal:
                raise _broken_off(refusal, rest, self.tally) from refusal

    def _try(self, reads: list[Read]) -> list[Read]:
        """Publish *reads* up to the first that is refused; what is left to be tried."""
        try:
            self._send(reads)
        except EventUnsendable as refusal:  # nothing was sent
            bad = reads[refusal.position]
            self._send(reads[: refusal.position])
            self.refuse(BadLine(bad.line, str(refusal).partition(": ")[2] or str(refusal)))
            return reads[refusal.position + 1 :] if self._way.keep_going else []
        return []

    def refuse(self, bad: BadLine) -> None:
        """Note a bad line, and tell of it at once."""
        self.tally.bad.append(bad)
        remark(f"line {bad.line}: {bad.problem}")

    def _send(self, reads: list[Read]) -> None:
        if not reads:
            return
        if self._watch is not None:  # an id of our own would not be known here
            for read in reads:
                read.event["event_id"] = read.event.get("event_id") or str(uuid4())
        entry_ids = self._publisher.publish_many([read.event for read in reads])
        self.tally.published += len(entry_ids)
        self.tally.next_line = reads[-1].line + 1
        if self._watch is not None:
            self._watch.note(reads, entry_ids)
        if self._way.rate is not None:
            over_at = self._began + self.tally.published / self._way.rate
            time.sleep(max(0.0, over_at - time.monotonic()))


def publish_file(file: Path, way: PublishOptions) -> None:
    """Publish *file* (`-`: stdin). Raises Failed when a line is bad or Redis refuses."""
    settings = read_settings()
    publisher = Publisher.at(settings.redis_url, waitaof_ms=settings.waitaof)
    watch = None if way.wait is None else OutcomeWatch(settings.redis_url, patience=way.wait)
    run = _Publishing(way, publisher, watch)
    try:
        with opened(file) as lines, _progress(file) as progress:
            task = progress.add_task("published", total=None)
            for group in _groups(lines, run, way):
                run.publish(group)
                progress.update(task, completed=run.tally.published)
                if run.tally.bad and not way.keep_going:
                    break
        if watch is not None:
            watch.finish()
    except KeyboardInterrupt:
        raise Failed(
            f"interrupted. On the stream: {_events(run.tally.published)};"
            f" {_go_on_from(run.tally.next_line)}"
        ) from None
    finally:
        publisher.close()
    _report(run.tally, way, watch)


def _groups(lines: BinaryIO, run: _Publishing, way: PublishOptions) -> Iterator[list[Read]]:
    """Groups of readable events; ends behind the first bad line unless told to keep going."""
    group: list[Read] = []
    for read in lines_of(lines, from_line=way.from_line):
        if isinstance(read, BadLine):
            run.refuse(read)
            if way.keep_going:
                continue
            break
        group.append(read)
        if len(group) == way.group_events:
            yield group
            group = []
    if group:
        yield group


def _broken_off(
    refusal: PublishIncomplete, rest: list[Read], tally: _PublishTotals
) -> ReportedError:
    """What to tell when Redis does not take all of it: from where to go on."""
    behind = [read for read in rest if read.line >= tally.next_line]
    confirmed = sum(one is not None for one in refusal.entry_ids)
    first = behind[min(confirmed, len(behind) - 1)].line
    kind = WrongUsage if isinstance(refusal, SetupRefused) else Failed
    where = "On the stream and its disk" if isinstance(refusal, NotOnDisk) else "On the stream"
    return kind(
        f"Redis did not take all of it: {refusal.__cause__} ({refusal.advice}). {where}:"
        f" {_events(tally.published + confirmed)}; when Redis is well, {_go_on_from(first)}"
    )


def _go_on_from(line: int) -> str:
    return (
        f"publish again from line {line} on (--from-line {line}). Lines that carry an event_id"
        " count once"
    )


def _report(tally: _PublishTotals, way: PublishOptions, watch: OutcomeWatch | None) -> None:
    bad = sorted(tally.bad, key=lambda one: one.line)
    outcomes = {} if watch is None else dict(sorted(watch.ended.items()))
    if way.as_json:
        ended = {} if watch is None else {"outcomes": outcomes}
        show_json({"published": tally.published, "bad_lines": bad, **ended})
    else:
        typer.echo(f"published {_events(tally.published)}")
        for outcome, number in outcomes.items():
            typer.echo(f"  {outcome}: {number:,}")
    if bad and way.keep_going:
        raise Failed(f"{len(bad):,} lines were left out; the first is line {bad[0].line}")
    if bad:
        first = bad[0].line
        raise Failed(
            f"stopped at line {first}: mend it and publish from there on"
            f" (--from-line {first}), or use --keep-going"
        )
    if unapplied := outcomes.get("unapplied"):
        raise Failed(
            f"{_events(unapplied)} on the stream had not been applied when the time to wait was"
            " over; is an intake running? (`slipway doctor`)"
        )


def _events(count: int) -> str:
    return "1 event" if count == 1 else f"{count:,} events"


@contextmanager
def _progress(file: Path) -> Iterator[Progress]:
    screen = console(stderr=True)
    bar = Progress(
        TextColumn(file.name),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=screen,
        disable=not screen.is_terminal,
    )
    with bar:
        yield bar
