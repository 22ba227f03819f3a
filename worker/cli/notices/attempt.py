"""Prints one attempt: the exact request, and the response with all that is stored of it."""

from collections.abc import Iterator

import typer

from models.history.request import ShownAttempt, find_attempt
from models.outbox.values import BY_PROXY
from models.settings.settings import read_settings
from worker.cli.database import transaction
from worker.cli.errors import Failed
from worker.cli.output import as_text, moment, show_json
from worker.cli.triage.display import show_facts


def show_attempt(notice_id: int, claim: int | None, *, as_curl: bool, as_json: bool) -> None:
    """Print the attempt under *claim*, or the last one. Raises Failed if there is none."""
    with transaction() as connection:
        attempt = find_attempt(
            connection, notice_id, claim, contact=read_settings().partner_contact
        )
    if attempt is None:
        which = "no attempt" if claim is None else f"no attempt {claim}"
        raise Failed(
            f"there is {which} to send notice {notice_id}; `slipway ticket ID` lists a ticket's"
            " notices and attempts"
        )
    if as_json:
        show_json(attempt)
    elif as_curl:
        if attempt.request.curl is None:
            raise Failed(f"there is no command: what was sent was {attempt.contents_gone}")
        typer.echo(attempt.request.curl)
    else:
        _show(attempt)


def _show(attempt: ShownAttempt) -> None:
    show_facts(_facts(attempt))
    request = attempt.request
    lines = [
        f"{request.method} {request.url}",
        *_lines(request.headers),
        "",
        _content(attempt, request.body),
    ]
    _show_message("request", lines)
    if attempt.http_status is None:
        return
    omitted = attempt.response_headers_omitted
    lines = [
        f"status {attempt.http_status}",
        *_lines(attempt.response_headers),
        *([f"({omitted} more headers)"] if omitted else []),
        "",
        *_content(attempt, attempt.answer).splitlines(),
        *(["(cut here)"] if attempt.answer_cut else []),
    ]
    _show_message("response", lines)


def _facts(attempt: ShownAttempt) -> Iterator[tuple[str, str]]:
    yield "notice", f"{attempt.notice}, {attempt.action}, generation {attempt.generation}"
    yield "ticket", f"{attempt.ticket_id} of {attempt.operator}"
    yield "attempt", str(attempt.claim)
    yield "sent", moment(attempt.sent_at)
    by_proxy = (attempt.remarks or {}).get(BY_PROXY) is True
    yield "to", (attempt.remote_address or "-") + (", the proxy" if by_proxy else "")
    yield "took", f"{attempt.took.total_seconds():.3f} s"
    yield "verdict", attempt.verdict
    if attempt.problem is not None:
        yield "problem", attempt.problem


def _content(attempt: ShownAttempt, content: str | None) -> str:
    """Return a body, or what became of it."""
    gone = attempt.contents_gone
    return f"({gone})" if content is None and gone is not None else content or ""


def _lines(headers: tuple[tuple[str, str], ...]) -> list[str]:
    return [f"{name}: {value}" for name, value in headers]


def _show_message(title: str, lines: list[str]) -> None:
    """Print each line by itself, so that the partner's text cannot pose as one of ours."""
    typer.echo(f"{title}:")
    for line in lines:
        typer.echo(f"    {as_text(line)}".rstrip())
