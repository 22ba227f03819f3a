"""One attempt: the exact request beside the whole answer."""

import json
from typing import Annotated, Final

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from models.history.access_headers import MASKED
from models.history.request import ShownAttempt, find_attempt
from models.outbox.values import BY_PROXY
from models.users import Role
from worker.console.addresses import PathId, path_of
from worker.console.console import TheConsole
from worker.console.display.masked_history import masked_body
from worker.console.display.personal import MASK, sees_personal
from worker.console.people import Viewer
from worker.console.refusals import not_found
from worker.console.rendering import render

_BIGINT: Final = 2**63 - 1
_INTEGER: Final = 2**31 - 1
_PLAIN_HEADERS: Final = {"content-length", "content-type", "date", "retry-after", "server"}

routes = APIRouter()


@routes.get("/tickets/{operator}/{ticket_id}/attempts/{notice}/{claim}")
async def attempt(
    request: Request,
    user: Viewer,
    console: TheConsole,
    operator: PathId,
    ticket_id: PathId,
    notice: Annotated[int, Path(ge=0, le=_BIGINT)],
    claim: Annotated[int, Path(ge=0, le=_INTEGER)],
) -> Response:
    """Show what was sent and what came back."""
    contact = console.settings.partner_contact
    shown = await console.read(
        lambda connection: find_attempt(connection, notice, claim, contact=contact)
    )
    if shown is None or (shown.operator, shown.ticket_id) != (operator, ticket_id):
        raise not_found(
            f"There is no attempt {claim} of notice {notice} of ticket {ticket_id} of {operator}."
        )
    allowed = sees_personal(user.role)
    return render(
        request,
        "ticket_attempt.html",
        attempt=shown,
        body=_body(user.role, shown),
        answer=shown.answer if allowed else None,
        hidden=not allowed,
        response_headers=[
            (name, content if allowed or name.lower() in _PLAIN_HEADERS else MASK)
            for name, content in shown.response_headers
        ],
        by_proxy=(shown.remarks or {}).get(BY_PROXY) is True,
        wallet={
            name: content for name, content in (shown.remarks or {}).items() if name != BY_PROXY
        },
        masked=MASKED,
        ticket_path=path_of("tickets", operator, ticket_id),
    )


def _body(role: Role, shown: ShownAttempt) -> str | None:
    """Return the body's exact text, or for a viewer the same JSON with what is personal masked."""
    if sees_personal(role) or not shown.request.body:
        return shown.request.body
    try:
        body = json.loads(shown.request.body)
    except ValueError:
        return MASK
    return json.dumps(masked_body(role, body), ensure_ascii=False, separators=(",", ":"))
