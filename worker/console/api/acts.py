"""Acts: each is done once for a client's key, however often the client asks for it.

The response is kept in the transaction of the act itself (`models.idempotency`), so a client that
lost it, because a connection broke or a process died, asks again and gets the first one.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Final, TypeVar

from fastapi import Depends, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import Connection

from models.idempotency import (
    KeyedRequest,
    StoredResponse,
    keep_response,
    kept_response,
    keyed_request,
)
from models.operators.interventions import WHY_MAX, Person
from models.platform.json_values import as_json_value
from models.users import Role, TokenHolder
from worker.console.api.authentication import Holder, check_role
from worker.console.api.errors import ApiFlaw, invalid_request
from worker.console.console import Console, TheConsole

KEY_HEADER: Final = "Idempotency-Key"
KEY: Final = re.compile("^[!-~]{1,64}$")
REPLAYED_HEADER: Final = "Idempotency-Replayed"

Result = TypeVar("Result")
Work = Callable[[Connection, Person, datetime], object]
"""An act of `models`: returns what the response says."""


class ActBody(BaseModel):
    """What every act needs: the reason, which is kept with the token's name."""

    model_config = ConfigDict(extra="forbid")

    why: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=WHY_MAX)
    ] = Field(description="The reason; it is kept with the token's name.")


@dataclass(frozen=True, slots=True)
class KeyedAct:
    """A request to do something, with the client's key; nothing is done so far."""

    console: Console
    holder: TokenHolder
    request: KeyedRequest

    async def carry_out(
        self, body: ActBody, work: Work, *, withheld: Collection[str] = ()
    ) -> Response:
        """Do *work* and keep its response, or return the one that is kept.

        Both in one transaction: if *work* raises, nothing has happened and the key is free.
        *withheld*: fields of the response, secrets, that are returned once and never kept.
        """
        person = self.person(body)

        def act(connection: Connection) -> tuple[StoredResponse, bool]:
            now = self.console.clock.now(connection)
            kept = kept_response(connection, self.request, now=now)
            if kept is not None:
                return kept, True
            return self._keep(connection, work(connection, person, now), withheld, now), False

        stored, is_replay = await self.console.change(act)
        return _response(stored, is_replay=is_replay)

    async def carry_out_elsewhere(
        self,
        body: ActBody,
        call: Callable[[], Result],
        record: Callable[[Connection, Result, Person, datetime], None],
    ) -> Response:
        """Do *call*, to a partner, outside any transaction, then *record* its result.

        Two requests with the same key at the same moment may both call.
        """
        person = self.person(body)
        kept = await self.console.change(self._kept)
        if kept is not None:
            return _response(kept, is_replay=True)
        done = await self.console.call(call)

        def keep(connection: Connection) -> tuple[StoredResponse, bool]:
            now = self.console.clock.now(connection)
            first = kept_response(connection, self.request, now=now)
            if first is not None:
                return first, True
            record(connection, done, person, now)
            return self._keep(connection, done, (), now), False

        stored, is_replay = await self.console.change(keep)
        return _response(stored, is_replay=is_replay)

    def person(self, body: ActBody) -> Person:
        """Return who acts: the program, by its token's name, and the reason it gives."""
        return Person(f"token {self.holder.name}", body.why)

    def _kept(self, connection: Connection) -> StoredResponse | None:
        return kept_response(connection, self.request, now=self.console.clock.now(connection))

    def _keep(
        self, connection: Connection, result: object, withheld: Collection[str], now: datetime
    ) -> StoredResponse:
        document = as_json_value(result)
        assert isinstance(document, dict), "an act's response is an object"
        status = HTTPStatus.OK
        kept = {**document, **dict.fromkeys(withheld)}
        keep_response(connection, self.request, status=status, body=_text(kept), now=now)
        return StoredResponse(status, _text(document))


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, allow_nan=False)


def _response(stored: StoredResponse, *, is_replay: bool) -> Response:
    headers = {REPLAYED_HEADER: "true"} if is_replay else None
    return Response(stored.body, stored.status, headers, media_type="application/json")


class ActNeeded:
    """The dependency of a route that acts: *role*, and a key of the client's."""

    def __init__(self, role: Role) -> None:
        """Need *role*."""
        self.role = role

    async def __call__(self, request: Request, holder: Holder, console: TheConsole) -> KeyedAct:
        """Return the act. Raises ApiRefused (403, 422)."""
        check_role(holder, self.role)
        key = _key_of(request)
        body = await request.body()
        # Keyed: what is stored lets nobody guess a secret or a player in the body.
        secret = console.settings.secret_key[0].get_secret_value().encode()
        named = f"{request.method} {request.url.path}?{request.url.query}\n".encode() + body
        content = hmac.digest(secret, named, hashlib.sha256)
        return KeyedAct(
            console,
            holder,
            keyed_request(caller=f"token {holder.id}", key=key, content=content),
        )


SupportAct = Annotated[KeyedAct, Depends(ActNeeded(Role.SUPPORT))]
OperationsAct = Annotated[KeyedAct, Depends(ActNeeded(Role.OPERATIONS))]


def _key_of(request: Request) -> str:
    """Return the client's key. Not a parameter of the route: the role is checked first."""
    key = request.headers.get(KEY_HEADER, "")
    if KEY.fullmatch(key) is None:
        flaw = ApiFlaw(at=["header", KEY_HEADER], message=f"must match {KEY.pattern}")
        raise invalid_request("an act needs a key of the client's; nothing was done", [flaw])
    return key
