"""Publishes a file line by line, a group at a time, and knows each event's line."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from models.settings import read_settings
from producers.publisher import (
    EVENT_BYTES_MAX,
    EventUnsendable,
    Publisher,
    SetupRefused,
    Unfinished,
)
from worker.cli.errors import Failed, ReportedError, WrongUsage
from worker.cli.output import console, remark, show_json

GROUP_EVENTS = 500
LINE_BYTES_MAX = 4 * EVENT_BYTES_MAX  # escapes and spaces may make a line longer than its event


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be an event."""

    line: int
    problem: str


@dataclass(frozen=True, slots=True)
class _Read:
    """An event and the line it stands on."""

    line: int
    event: dict[str, object]


@dataclass(slots=True)
class _Tally:
    published: int = 0
    bad: list[BadLine] = field(default_factory=list)


def publish_file(file: Path, *, keep_going: bool, as_json: bool) -> None:
    """Publish *file* (`-`: stdin). Raises Failed when a line is bad or Redis refuses."""
    settings = read_settings()
    tally = _Tally()
    publisher = Publisher.at(settings.redis_url, waitaof_ms=settings.waitaof)
    try:
        with _opened(file) as lines, _progress(file) as progress:
            task = progress.add_task("published", total=None)
            for group in _groups(lines, tally, keep_going=keep_going):
                _publish(publisher, group, tally, keep_going=keep_going)
                progress.update(task, completed=tally.published)
                if tally.bad and not keep_going:
                    break
    finally:
        publisher.close()
    _report(tally, keep_going=keep_going, as_json=as_json)


def _groups(lines: BinaryIO, tally: _Tally, *, keep_going: bool) -> Iterator[list[_Read]]:
    """Groups of readable events; ends behind the first bad line unless *keep_going*."""
    group: list[_Read] = []
    number = 0
    while line := lines.readline(LINE_BYTES_MAX + 1):
        number += 1
        if not line.strip():
            continue
        event = _event(line)
        if isinstance(event, str):
            _note(tally, BadLine(number, event))
            if not keep_going or len(line) > LINE_BYTES_MAX:
                break  # of a line that was too long, the rest would read as further lines
            continue
        group.append(_Read(number, event))
        if len(group) == GROUP_EVENTS:
            yield group
            group = []
    if group:
        yield group


def _event(line: bytes) -> dict[str, object] | str:
    """The event on a line, or what is wrong with it."""
    if len(line) > LINE_BYTES_MAX:
        return f"longer than {LINE_BYTES_MAX:,} bytes; an event has at most {EVENT_BYTES_MAX:,}"
    try:
        event = json.loads(line)
    except UnicodeDecodeError as flaw:
        return f"not UTF-8: {flaw.reason} at byte {flaw.start}"
    except ValueError as flaw:
        return f"not JSON: {flaw}"
    except RecursionError:
        return "nested too deeply"
    if not isinstance(event, dict):
        return 'not an object; an event is {"event_id": …, "action": …, "data": {…}}'
    return event


def _publish(publisher: Publisher, group: list[_Read], tally: _Tally, *, keep_going: bool) -> None:
    """Publish a group; an event the publisher refuses is a bad line like any other."""
    rest = group
    while rest:
        try:
            tally.published += len(publisher.publish_many([read.event for read in rest]))
        except EventUnsendable as refusal:  # nothing was sent
            good, bad, behind = rest[: refusal.position], rest[refusal.position], []
            problem = str(refusal).partition(": ")[2] or str(refusal)
            if good:
                _publish(publisher, good, tally, keep_going=keep_going)
            _note(tally, BadLine(bad.line, problem))
            if keep_going:
                behind = rest[refusal.position + 1 :]
            rest = behind
        except Unfinished as refusal:
            raise _broken_off(refusal, rest, tally) from refusal
        else:
            rest = []


def _broken_off(refusal: Unfinished, rest: list[_Read], tally: _Tally) -> ReportedError:
    """What to tell when Redis does not take all of it: from where to go on."""
    confirmed = sum(one is not None for one in refusal.entry_ids)
    first = rest[min(confirmed, len(rest) - 1)].line
    kind = WrongUsage if isinstance(refusal, SetupRefused) else Failed
    return kind(
        f"Redis did not take all of it: {refusal.__cause__}. On the stream:"
        f" {_events(tally.published + confirmed)}; when Redis is well, publish again from line"
        f" {first} on (tail -n +{first}). Lines that carry an event_id count once"
    )


def _note(tally: _Tally, bad: BadLine) -> None:
    tally.bad.append(bad)
    remark(f"line {bad.line}: {bad.problem}")


def _report(tally: _Tally, *, keep_going: bool, as_json: bool) -> None:
    bad = sorted(tally.bad, key=lambda one: one.line)
    if as_json:
        show_json({"published": tally.published, "bad_lines": bad})
    else:
        typer.echo(f"published {_events(tally.published)}")
    if not bad:
        return
    first = bad[0].line
    if keep_going:
        raise Failed(f"{len(bad):,} lines were left out; the first is line {first}")
    raise Failed(
        f"stopped at line {first}: mend it and publish from there on"
        f" (tail -n +{first}), or use --keep-going"
    )


def _events(count: int) -> str:
    return "1 event" if count == 1 else f"{count:,} events"


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    try:
        opened = file.open("rb")
    except OSError as refusal:
        raise WrongUsage(f"{file}: {refusal.strerror}") from None
    with opened:
        yield opened


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
