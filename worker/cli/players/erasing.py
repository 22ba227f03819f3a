"""Starts erasures of players, and prints how far they are."""

from collections.abc import Iterator, Mapping

import typer

from models.erasure import (
    NOT_COVERED,
    Erasure,
    ErasureEstimate,
    ErasureReport,
    WaitingTicket,
    estimate_erasure,
    list_erasures,
    player_fingerprints,
    report_erasure,
)
from models.operators.interventions import Person
from models.operators.listing import OperatorNotFound
from models.outbox.dead_letters import NotPossible
from models.platform.errors import InvalidError, NotFoundError
from models.players import erase_player
from models.settings.settings import read_settings
from models.vocabulary import ErasurePhase
from worker.cli.errors import Failed, WrongUsage
from worker.cli.output import moment, remark, show_json, show_table
from worker.cli.triage.display import as_object, show_facts, show_list
from worker.cli.triage.options import ExplainedChangeOptions
from worker.cli.triage.report import confirm_many
from worker.cli.triage.session import open_session


def erase(player: str, *, operator: str, dry_run: bool, change: ExplainedChangeOptions) -> None:
    """Start the erasure of a player, or count what it would begin with."""
    keys = read_settings().secret_key
    with open_session() as session:
        try:
            estimate = session.run(
                lambda connection, _now: estimate_erasure(connection, operator, player)
            )
            if dry_run:
                _show_estimate(estimate, as_json=change.as_json)
                return
            confirm_many(
                f"{_begins_with(estimate)}; what is erased cannot be restored", yes=change.yes
            )
            report = session.run(
                lambda connection, now: erase_player(
                    connection,
                    operator,
                    player,
                    keys=keys,
                    person=Person(change.who, change.why),
                    now=now,
                )
            )
        except (InvalidError, OperatorNotFound) as error:
            raise WrongUsage(str(error)) from None
        except NotPossible as refusal:
            raise Failed(str(refusal)) from None
    if change.as_json:
        show_json(_document(report))
        return
    erasure = report.erasure
    typer.echo(
        f"erasure {erasure.id} has begun; job {erasure.job} carries it on in the sweep:"
        f" slipway players erasures show {erasure.id}"
    )
    remark(NOT_COVERED)


def show_erasures(*, operator: str | None, player: str | None, limit: int, as_json: bool) -> None:
    """Print erasures, the newest first."""
    fingerprints = None
    if player is not None:
        if operator is None:
            raise WrongUsage("--player needs --operator: an id is one operator's")
        keys = read_settings().secret_key
        fingerprints = player_fingerprints(keys, operator=operator, player_id=player)
    with open_session() as session:
        try:
            erasures = session.run(
                lambda connection, _now: list_erasures(
                    connection, operator=operator, fingerprints=fingerprints, limit=limit
                )
            )
        except OperatorNotFound as error:
            raise WrongUsage(str(error)) from None
    if as_json:
        show_json({"erasures": erasures})
        return
    columns = ("number", "operator", "player", "state", "begun", "ended", "by", "blanked")
    show_list("erasures", columns, list(map(_row, erasures)), limit=limit)


def show_erasure(number: int, *, as_json: bool) -> None:
    """Print one erasure with the tickets that it waits for. Raises Failed if there is none."""
    with open_session() as session:
        try:
            report = session.run(lambda connection, _now: report_erasure(connection, number))
        except NotFoundError as error:
            raise Failed(str(error)) from None
    if as_json:
        show_json(_document(report))
        return
    show_facts(_facts(report.erasure))
    if report.waiting:
        typer.echo()
        columns = ("waits for", "status", "because of", "closes at")
        show_table(columns, map(_waiting_row, report.waiting))
        if report.more:
            remark("it waits for more tickets than are listed")
    remark(NOT_COVERED)


def _document(report: ErasureReport) -> dict[str, object]:
    return {**as_object(report), "not_covered": NOT_COVERED.partition(": ")[2]}


def _show_estimate(estimate: ErasureEstimate, *, as_json: bool) -> None:
    if as_json:
        show_json(estimate)
        return
    typer.echo(_begins_with(estimate))
    remark("nothing was changed; what only a search through the tables finds is not counted")


def _begins_with(estimate: ErasureEstimate) -> str:
    more = "" if estimate.exact else "+"
    text = f"{estimate.tickets:,}{more} tickets name the player, {estimate.waiting:,} of them open"
    if estimate.last_close_due_at is None:
        return text
    return f"{text} (the last closing that is due: {moment(estimate.last_close_due_at)})"


def _row(erasure: Erasure) -> tuple[str, ...]:
    return (
        str(erasure.id),
        erasure.operator,
        erasure.fingerprint[:12],
        erasure.phase.value,
        moment(erasure.started_at),
        moment(erasure.ended_at),
        erasure.who,
        _counts(erasure.counts),
    )


def _facts(erasure: Erasure) -> Iterator[tuple[str, str]]:
    yield "operator", erasure.operator
    yield "player", f"{erasure.fingerprint} (a keyed hash)"
    yield "begun", f"{moment(erasure.started_at)} by {erasure.who}"
    yield "state", erasure.phase.value
    if erasure.phase is not ErasurePhase.DONE and erasure.job is not None:
        yield "carried on by", f"job {erasure.job}"
    if erasure.ended_at is not None:
        yield "ended", moment(erasure.ended_at)
    yield "blanked", _counts(erasure.counts)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {place}" for place, count in sorted(counts.items())) or "-"


def _waiting_row(ticket: WaitingTicket) -> tuple[str, ...]:
    reasons = [f"notices: {ticket.unfinished}"] if ticket.unfinished else []
    reasons += [f"parked events: {ticket.parked}"] if ticket.parked else []
    return (
        ticket.ticket_id,
        ticket.status,
        ", ".join(reasons) or "it has not ended",
        moment(ticket.close_due_at),
    )
