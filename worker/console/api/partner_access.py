"""What calls to a partner carry for the gateway in front of it: what may be shown, and setting it.

A secret comes in and never goes out: a response holds what may be shown, and so does what is kept.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import Field
from sqlalchemy import Connection

from models.access.given import GivenAccess
from models.access.values import Access
from models.operators.access import AccessStatus, access_status, set_access
from models.operators.interventions import Person
from models.platform.errors import InvalidError
from worker.console.addresses import PathId
from worker.console.api.acts import ActBody, OperationsAct
from worker.console.api.answers import answer
from worker.console.api.authentication import ApiNow, TokenFirst, ViewerToken
from worker.console.api.openapi import acts, reads
from worker.console.api.times import GivenTime
from worker.console.console import TheConsole

routes = APIRouter(tags=["partners"], route_class=TokenFirst)


class AccessBody(ActBody):
    """The whole access: it replaces the one in force, and an empty one removes it."""

    access: GivenAccess
    switch_at: GivenTime | None = Field(
        default=None,
        description="When the new access replaces the present one; at once if not given.",
    )
    expected: Annotated[str, Field(max_length=64)] | None = Field(
        default=None,
        description="The access's `version` as you read it: if it is another by now, nothing is"
        " done.",
    )


@dataclass(frozen=True, slots=True)
class PartnerAccess:
    """What may be shown of the access in force, and of the one that replaces it at *switch_at*."""

    code: str
    access: dict[str, Any]
    next: dict[str, Any] | None
    switch_at: datetime | None
    version: str  # another one after every change; `expected` of the next one


@dataclass(frozen=True, slots=True)
class NewPartnerAccess(PartnerAccess):
    """The same after the request. *changed*: by this request."""

    changed: bool


@routes.get("/partners/{code}/access", response_model=PartnerAccess, responses=reads())
async def access(
    holder: ViewerToken, console: TheConsole, now: ApiNow, code: PathId
) -> JSONResponse:
    """Show what calls to the partner carry, without the secrets."""
    status = await console.read(lambda connection: access_status(connection, code, now=now))
    return answer(holder, PartnerAccess(code, *_shown(status)))


@routes.post("/partners/{code}/access", response_model=NewPartnerAccess, responses=acts())
async def replace_access(act: OperationsAct, body: AccessBody, code: PathId) -> Response:
    """Replace what calls to the partner carry, at once or at a moment. No secret is returned."""
    given, vault = _read(body.access), act.console.vault

    def work(connection: Connection, person: Person, now: datetime) -> NewPartnerAccess:
        changed = set_access(
            connection,
            code,
            given,
            now=now,
            vault=vault,
            person=person,
            switch_at=body.switch_at,
            seen=body.expected,
        )
        status = access_status(connection, code, now=now)
        return NewPartnerAccess(code, *_shown(status), changed=changed)

    return await act.carry_out(body, work)


def _read(given: GivenAccess) -> Access:
    try:
        return given.access()
    except ValueError as refusal:
        raise InvalidError(f"{refusal}; nothing was done") from None


def _shown(
    status: AccessStatus,
) -> tuple[dict[str, Any], dict[str, Any] | None, datetime | None, str]:
    coming = None if status.next_facts is None else dict(status.next_facts)
    return dict(status.facts), coming, status.switch_at, status.version
