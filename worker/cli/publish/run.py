"""Publishes a file line by line, a group at a time, and waits for the outcomes if asked to."""

import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Final
from uuid import uuid4

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from models.events.cloud_event import is_cloud_event
from models.events.published import event_ids
from models.history.outcomes import PublishedEntry, count_outcomes
from models.settings.settings import read_settings
from producers.publisher import (
    EventUnsendable,
    NotOnDisk,
    Publisher,
    PublishIncomplete,
    SetupRefused,
)
from worker.cli.database import transaction
from worker.cli.errors import Failed, ReportedError, WrongUsage
from worker.cli.output import console, remark, show_json
from worker.cli.publish.event_lines import BadLine, EventLine, lines_of, opened
from worker.process.redis_client import open_redis

POLL_SECONDS: Final = 0.1
_WATCH_RETRIES: Final = 3
GROUPS_MAX: Final = 100  # in memory; a further one waits until the first has ended
GROUP_EVENTS: Final = 500
GROUPS_PER_SECOND: Final = 10  # with --rate, so that it is kept within a second, too


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """How a file is published. *rate*: events per second; *wait*: how long for their outcomes."""

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
    next_line: int  # from here on no line is known to be on the stream
    published: int = 0
    bad: list[BadLine] = field(default_factory=list)


class OutcomeWatch:
    """Counts outcomes, a group at a time, as the intake removes the groups from the stream."""

    def __init__(self, redis_url: str, *, stream: str, patience: timedelta) -> None:
        """*patience* is how long to wait without progress before giving up."""
        self.ended: Counter[str] = Counter()
        self._redis = open_redis(
            redis_url, retries=_WATCH_RETRIES, name="slipway-publish", stream=stream
        )
        self._stream = stream
        self._patience = patience.total_seconds()
        self._groups: deque[list[PublishedEntry]] = deque()

    def note(self, group: Sequence[EventLine], entry_ids: Sequence[str]) -> None:
        """Watch a group that has just been published; wait while there are too many."""
        self._groups.append([_published(*pair) for pair in zip(group, entry_ids, strict=True)])
        if len(self._groups) > GROUPS_MAX:
            self._wait(until=GROUPS_MAX)

    def finish(self) -> None:
        """Wait for the rest; what has not ended in time is counted as `unapplied`."""
        self._wait(until=0)
        unapplied = sum(len(group) for group in self._groups)
        if unapplied:
            self.ended["unapplied"] = unapplied
        self._redis.close()

    def _wait(self, *, until: int) -> None:
        deadline = time.monotonic() + self._patience
        while len(self._groups) > until:
            if self._is_applied(self._groups[0]):
                with transaction() as connection:
                    self.ended += count_outcomes(connection, self._groups.popleft())
                deadline = time.monotonic() + self._patience
            elif time.monotonic() > deadline:
                return
            else:
                time.sleep(POLL_SECONDS)

    def _is_applied(self, group: Sequence[PublishedEntry]) -> bool:
        """Entries leave the stream once they are applied or stored as rejected input."""
        return not self._redis.xrange(self._stream, group[0].entry_id, group[-1].entry_id, count=1)


class _Publishing:
    """One run of the command."""

    def __init__(
        self, options: PublishOptions, publisher: Publisher, watch: OutcomeWatch | None
    ) -> None:
        self.totals = _PublishTotals(next_line=options.from_line)
        self._options = options
        self._publisher = publisher
        self._watch = watch
        self._began = time.monotonic()

    def publish(self, group: list[EventLine]) -> None:
        """Publish a group; an event the publisher refuses is a bad line like any other."""
        rest = group
        while rest:
            try:
                rest = self._try(rest)
            except PublishIncomplete as refusal:
                raise _interrupted(refusal, rest, self.totals) from refusal

    def _try(self, reads: list[EventLine]) -> list[EventLine]:
        """Publish *reads* up to the first that is refused; return those still to be tried."""
        try:
            self._send(reads)
        except EventUnsendable as refusal:  # nothing was sent
            bad = reads[refusal.position]
            self._send(reads[: refusal.position])
            self.refuse(BadLine(bad.line, str(refusal).partition(": ")[2] or str(refusal)))
            return reads[refusal.position + 1 :] if self._options.keep_going else []
        return []

    def refuse(self, bad: BadLine) -> None:
        """Record a bad line, and report it at once."""
        self.totals.bad.append(bad)
        remark(f"line {bad.line}: {bad.problem}")

    def _send(self, reads: list[EventLine]) -> None:
        if not reads:
            return
        if self._watch is not None:  # its outcome is found by its id
            for read in (read for read in reads if not is_cloud_event(read.event)):
                read.event["event_id"] = read.event.get("event_id") or str(uuid4())
        entry_ids = self._publisher.publish_many([read.event for read in reads])
        self.totals.published += len(entry_ids)
        self.totals.next_line = reads[-1].line + 1
        if self._watch is not None:
            self._watch.note(reads, entry_ids)
        if self._options.rate is not None:
            over_at = self._began + self.totals.published / self._options.rate
            time.sleep(max(0.0, over_at - time.monotonic()))


def publish_file(file: Path, options: PublishOptions) -> None:
    """Publish *file* (`-`: stdin). Raises Failed when a line is bad or Redis refuses."""
    settings = read_settings()
    stream = settings.stream
    publisher = Publisher.at(settings.redis_url, stream=stream, waitaof_ms=settings.waitaof)
    watch = (
        None
        if options.wait is None
        else OutcomeWatch(settings.redis_url, stream=stream, patience=options.wait)
    )
    run = _Publishing(options, publisher, watch)
    try:
        with opened(file) as lines, _progress(file) as progress:
            task = progress.add_task("published", total=None)
            for group in _groups(lines, run, options):
                run.publish(group)
                progress.update(task, completed=run.totals.published)
                if run.totals.bad and not options.keep_going:
                    break
        if watch is not None:
            watch.finish()
    except KeyboardInterrupt:
        raise Failed(
            f"interrupted. On the stream: {_events(run.totals.published)};"
            f" {_continue_from(run.totals.next_line)}"
        ) from None
    finally:
        publisher.close()
    _report(run.totals, options, watch)


def _groups(
    lines: BinaryIO, run: _Publishing, options: PublishOptions
) -> Iterator[list[EventLine]]:
    """Return groups of readable events; ends at the first bad line, unless *keep_going*."""
    group: list[EventLine] = []
    for read in lines_of(lines, from_line=options.from_line):
        if isinstance(read, BadLine):
            run.refuse(read)
            if options.keep_going:
                continue
            break
        group.append(read)
        if len(group) == options.group_events:
            yield group
            group = []
    if group:
        yield group


def _interrupted(
    refusal: PublishIncomplete, rest: list[EventLine], totals: _PublishTotals
) -> ReportedError:
    """Return the error for an incomplete publish: from which line to continue."""
    remaining = [read for read in rest if read.line >= totals.next_line]
    confirmed = sum(entry_id is not None for entry_id in refusal.entry_ids)
    first = remaining[min(confirmed, len(remaining) - 1)].line
    kind = WrongUsage if isinstance(refusal, SetupRefused) else Failed
    where = "On the stream and its disk" if isinstance(refusal, NotOnDisk) else "On the stream"
    return kind(
        f"Redis did not accept all events: {refusal.__cause__} ({refusal.advice}). {where}:"
        f" {_events(totals.published + confirmed)}; once it is available, {_continue_from(first)}"
    )


def _continue_from(line: int) -> str:
    return f"publish again from line {line} (--from-line {line}). Lines with an event_id count once"


def _report(totals: _PublishTotals, options: PublishOptions, watch: OutcomeWatch | None) -> None:
    bad = sorted(totals.bad, key=lambda line: line.line)
    outcomes = {} if watch is None else dict(sorted(watch.ended.items()))
    if options.as_json:
        ended = {} if watch is None else {"outcomes": outcomes}
        show_json({"published": totals.published, "bad_lines": bad, **ended})
    else:
        typer.echo(f"published {_events(totals.published)}")
        for outcome, number in outcomes.items():
            typer.echo(f"  {outcome}: {number:,}")
    if bad and options.keep_going:
        raise Failed(f"{len(bad):,} lines were skipped; the first is line {bad[0].line}")
    if bad:
        first = bad[0].line
        raise Failed(
            f"stopped at line {first}: fix it and publish from there"
            f" (--from-line {first}), or use --keep-going"
        )
    if unapplied := outcomes.get("unapplied"):
        raise Failed(
            f"{_events(unapplied)} on the stream had not been applied when --wait ended;"
            " is an intake running? (`slipway doctor`)"
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


def _published(read: EventLine, entry_id: str) -> PublishedEntry:
    ids = event_ids(read.event)
    return PublishedEntry(
        operator=str(ids.get("operator")),
        ticket_id=str(ids.get("ticket_id")),
        event_id=str(ids.get("event_id")),
        entry_id=entry_id,
    )
