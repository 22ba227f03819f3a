"""Runs changes, one transaction for each, so that a failure does not undo the others."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from sqlalchemy.exc import DBAPIError

from models.database.errors import is_transient
from models.triage import NotPossible
from worker.cli.errors import Failed
from worker.cli.output import as_text, console, remark, show_json
from worker.cli.triage.session import CommandSession, Work

T = TypeVar("T")
_FAILURES_SHOWN_MAX = 20
_CONTINUE = "Continue? [y/N] "
_YES = {"y", "yes"}


@dataclass(frozen=True, slots=True)
class OneChange(Generic[T]):
    """The work of one transaction; *name* is what the person calls it."""

    name: str
    work: Work[Sequence[T]]


@dataclass(frozen=True, slots=True)
class Failure:
    """What could not be done, and why; it is unchanged."""

    name: str
    problem: str


@dataclass(slots=True)
class TriageReport(Generic[T]):
    """What was done and what was not. *untried*: those left when the database failed."""

    done: list[T] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    untried: int = 0


def run_named(
    session: CommandSession,
    changes: Iterable[OneChange[T]],
    *,
    announce: Callable[[Sequence[T]], Sequence[str]],
    describe: Callable[[Sequence[T]], Sequence[str]],
    as_json: bool,
    confirm: Callable[[], None] = lambda: None,
) -> TriageReport[T]:
    """Run the changes for what was named by id: announce each, run it, describe what it did.

    *confirm* is called between both; it raises NotPossible to leave this one unchanged.
    """
    report = TriageReport[T]()
    for change in changes:
        try:
            _print(announce(session.rehearse(change.work)), as_json=as_json)
            confirm()
            done = session.run(change.work)
        except NotPossible as refusal:
            report.failed.append(Failure(change.name, str(refusal)))
            continue
        _print(describe(done), as_json=as_json)
        report.done += done
    return report


def run_all(session: CommandSession, changes: Sequence[OneChange[T]]) -> TriageReport[T]:
    """Run many changes, with a progress bar on a terminal."""
    report = TriageReport[T]()
    with _progress() as progress:
        bar = progress.add_task("done", total=len(changes))
        for number, change in enumerate(changes, start=1):
            try:
                report.done += session.run(change.work)
            except NotPossible as refusal:
                report.failed.append(Failure(change.name, str(refusal)))
            except DBAPIError as error:
                if not is_transient(error):
                    raise
                problem = str(error.orig).partition("\n")[0]
                report.failed.append(Failure(change.name, problem))
                if error.connection_invalidated or getattr(error.orig, "sqlstate", None) is None:
                    report.untried = len(changes) - number
                    break
            progress.advance(bar)
    return report


def confirm_many(announcement: str, *, yes: bool) -> None:
    """Announce what will change and ask, unless *yes*. Raises Failed if the answer is no."""
    remark(announcement)
    if yes:
        return
    answer = prompt(_CONTINUE)
    if not answer:
        raise Failed("nothing was changed; pass --yes to skip the confirmation")
    if answer.lower() not in _YES:
        raise Failed("nothing was changed")


def confirm_one(*, yes: bool) -> None:
    """Ask on a terminal, unless *yes*. Raises NotPossible if the answer is no."""
    if not yes and sys.stdin.isatty() and prompt(_CONTINUE).lower() not in _YES:
        raise NotPossible("not confirmed, so it is unchanged")


def prompt(question: str) -> str:
    """Ask, and return the first line of the answer, or an empty text at the end of the input."""
    typer.echo(question, nl=False, err=True)
    answer = sys.stdin.readline()
    if not answer:
        typer.echo(err=True)
    return answer.strip()


def conclude(
    report: TriageReport[T], *, got_through: Callable[[T], bool], summary: str | None, as_json: bool
) -> None:
    """Print the report. Raises Failed unless everything was done and got through."""
    if as_json:
        show_json({"done": report.done, "failed": report.failed, "untried": report.untried})
    elif summary is not None:
        typer.echo(as_text(summary))
    stuck = sum(not got_through(result) for result in report.done)
    if len(report.failed) == 1 and not (report.done or report.untried):
        raise Failed(as_text(report.failed[0].problem))
    for failure in report.failed[:_FAILURES_SHOWN_MAX]:
        names_itself = failure.name in failure.problem
        remark(as_text(failure.problem if names_itself else f"{failure.name}: {failure.problem}"))
    problems = [f"{len(report.failed):,} could not be done"] if report.failed else []
    if report.untried:
        problems.append(f"{report.untried:,} were not tried: the database became unavailable")
    problems += [f"{stuck:,} did not get through"] if stuck else []
    if problems:
        raise Failed("; ".join(problems))


def _print(sentences: Sequence[str], *, as_json: bool) -> None:
    for sentence in sentences:
        typer.echo(as_text(sentence), err=as_json)


def _progress() -> Progress:
    screen = console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    )
