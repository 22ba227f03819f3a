"""Does what was asked, one transaction at a time, so that one failure does not undo the others."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from sqlalchemy.exc import DBAPIError

from models.database.engine import is_transient
from models.triage import NotPossible
from worker.cli.errors import Failed
from worker.cli.output import as_text, console, remark, show_json
from worker.cli.triage.session import Act, Session

T = TypeVar("T")
_SHOWN_MAX = 20  # failures that a screen names
_CONTINUE = "Continue? [y/N] "
_YES = {"y", "yes"}


@dataclass(frozen=True, slots=True)
class Job(Generic[T]):
    """What one transaction is to do; *name* is what the person calls it."""

    name: str
    act: Act[Sequence[T]]


@dataclass(frozen=True, slots=True)
class Failure:
    """What could not be done, and why; it is as it was."""

    name: str
    problem: str


@dataclass(slots=True)
class TriageReport(Generic[T]):
    """What was done and what was not. *untried*: the database went away before."""

    done: list[T] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    untried: int = 0


def one_by_one(
    session: Session,
    jobs: Iterable[Job[T]],
    *,
    will: Callable[[Sequence[T]], Sequence[str]],
    did: Callable[[Sequence[T]], Sequence[str]],
    as_json: bool,
    sure: Callable[[], None] = lambda: None,
) -> TriageReport[T]:
    """Do each job that was named, saying before what will happen and afterwards what did.

    *sure* is called between both; it raises NotPossible where this one is to stay as it is.
    """
    report = TriageReport[T]()
    for job in jobs:
        try:
            _say(will(session.rehearse(job.act)), as_json=as_json)
            sure()
            done = session.do(job.act)
        except NotPossible as refusal:
            report.failed.append(Failure(job.name, str(refusal)))
            continue
        _say(did(done), as_json=as_json)
        report.done += done
    return report


def all_of_them(session: Session, jobs: Sequence[Job[T]]) -> TriageReport[T]:
    """Do many jobs, with a progress bar on a terminal."""
    report = TriageReport[T]()
    with _progress() as progress:
        bar = progress.add_task("done", total=len(jobs))
        for place, job in enumerate(jobs):
            try:
                report.done += session.do(job.act)
            except NotPossible as refusal:
                report.failed.append(Failure(job.name, str(refusal)))
            except DBAPIError as error:
                if not is_transient(error):
                    raise
                problem = str(error.orig).partition("\n")[0]
                report.failed.append(Failure(job.name, problem))
                if error.connection_invalidated or getattr(error.orig, "sqlstate", None) is None:
                    report.untried = len(jobs) - place - 1
                    break
            progress.advance(bar)
    return report


def ask(question: str, *, yes: bool) -> None:
    """Say what will happen to many, and ask unless *yes*. Raises Failed where the answer is no."""
    remark(question)
    if yes:
        return
    answer = answer_to(_CONTINUE)
    if not answer:
        raise Failed("nothing was changed; to change it without being asked, pass --yes")
    if answer.lower() not in _YES:
        raise Failed("nothing was changed")


def confirm(*, yes: bool) -> None:
    """Ask on a terminal, unless *yes*. Raises NotPossible where the answer is no."""
    if not yes and sys.stdin.isatty() and answer_to(_CONTINUE).lower() not in _YES:
        raise NotPossible("not confirmed, so it stays as it is")


def answer_to(question: str) -> str:
    """Ask, and give the first line of the answer; empty where none comes."""
    typer.echo(question, nl=False, err=True)
    answer = sys.stdin.readline()
    if not answer:
        typer.echo(err=True)
    return answer.strip()


def conclude(
    report: TriageReport[T], *, got_through: Callable[[T], bool], summary: str | None, as_json: bool
) -> None:
    """Print what was done. Raises Failed unless all of it was, and got through."""
    if as_json:
        show_json({"done": report.done, "failed": report.failed, "untried": report.untried})
    elif summary is not None:
        typer.echo(as_text(summary))
    stuck = sum(not got_through(one) for one in report.done)
    if len(report.failed) == 1 and not (report.done or report.untried):
        raise Failed(as_text(report.failed[0].problem))
    for failure in report.failed[:_SHOWN_MAX]:
        told = failure.name in failure.problem
        remark(as_text(failure.problem if told else f"{failure.name}: {failure.problem}"))
    bad = [f"{len(report.failed):,} could not be done"] if report.failed else []
    bad += [f"{report.untried:,} were not tried: the database went away"] if report.untried else []
    bad += [f"{stuck:,} did not get through"] if stuck else []
    if bad:
        raise Failed("; ".join(bad))


def _say(sentences: Sequence[str], *, as_json: bool) -> None:
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
