"""What operations do with a partner: each needs the role, a reason and a key."""

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Annotated, Any, Final, cast

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from sqlalchemy import Connection

from models.jobs import Job, PartnershipEnd, end_partnership, start_job
from models.jobs.kinds.send_operator_again import SEND_OPERATOR_AGAIN
from models.operators import (
    InterruptedRotation,
    OperatorPatch,
    OperatorTerms,
    change_operator,
    check_secret,
    disable_operator,
    enable_operator,
    rotate_secret,
)
from models.operators.delivery_terms import DeliveryTerms
from models.operators.interventions import Person
from models.operators.partners import require_partner
from models.operators.pings import record_ping
from models.operators.rotation import FORGET_AFTER, require_secret
from models.outbox.values import Partner
from models.partnerships.counts import PartnershipCounts
from models.partnerships.end import preview_end
from models.platform.durations import format_duration, parse_duration
from models.platform.encryption import new_secret
from models.platform.errors import InvalidError
from models.platform.timestamps import format_timestamp
from worker.console.addresses import PathId
from worker.console.api.acts import ActBody, OperationsAct
from worker.console.api.answers import answer
from worker.console.api.authentication import ApiNow, OperationsToken, TokenFirst
from worker.console.api.openapi import acts, reads
from worker.console.api.times import GivenTime
from worker.console.console import TheConsole
from worker.delivery.ping import PingResult, ping_as_configured

routes = APIRouter(tags=["partners"], route_class=TokenFirst)


def _is_duration(text: str) -> str:
    parse_duration(text)
    return text


DurationText = Annotated[str, AfterValidator(_is_duration), Field(max_length=50, examples=["24h"])]


_DURATIONS: Final = frozenset({"close_delay", "timeout", "retry_limit", "keep_bodies"})
_MAY_BE_NULL: Final = frozenset(
    {"rate", *(term.name for term in fields(DeliveryTerms) if term.default is None)}
)


class NamedTerms(BaseModel):
    """Terms of a partner, by name; those that are left out are not spoken of."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, Field(max_length=2000)] | None = None
    agent: Annotated[str, Field(max_length=255)] | None = None
    sign_calls: bool | None = None
    close_delay: DurationText | None = None
    announces_tickets: bool | None = None
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    in_flight: Annotated[int, Field(ge=1, le=10_000)] | None = None
    timezone: Annotated[str, Field(max_length=100)] | None = None
    lottery_ticket: Annotated[str, Field(max_length=50)] | None = None
    user_agent: Annotated[str, Field(max_length=200)] | None = None
    timeout: DurationText | None = None
    retry_schedule: Annotated[str, Field(max_length=200, examples=["10s,1m,1h"])] | None = None
    retry_limit: DurationText | None = None
    taken: Annotated[str, Field(max_length=100, examples=["2xx,409"])] | None = None
    create_taken: Annotated[str, Field(max_length=100, examples=["2xx"])] | None = None
    success_json: bool | None = None
    success_text: Annotated[str, Field(max_length=200)] | None = None
    wants: Annotated[str, Field(max_length=300, examples=["ticket_win,ticket_lost"])] | None = None
    pass_trace: bool | None = None
    keep_bodies: DurationText | None = None


class NewTerms(NamedTerms):
    """The terms to change; what is not named stays.

    A `rate` of null: no limit. A term of delivery of null: as for every partner.
    """

    def patch(self) -> OperatorPatch:
        """Return what is named."""
        named = self.model_dump(exclude_unset=True)
        empty = [
            name for name, value in named.items() if value is None and name not in _MAY_BE_NULL
        ]
        if empty:
            raise InvalidError(f"{', '.join(empty)}: null is not a value; leave out what stays")
        for name in _DURATIONS & named.keys():
            if named[name] is not None:
                named[name] = parse_duration(named[name])
        return cast("OperatorPatch", named)  # its fields are those of this model


class SeenTerms(NamedTerms):
    """Terms as the client read them."""

    def facts(self) -> dict[str, Any]:
        """Return what is named, as `terms_facts` has it."""
        named = self.model_dump(exclude_unset=True)
        for name in _DURATIONS & named.keys():
            if named[name] is not None:
                named[name] = format_duration(parse_duration(named[name]))
        return named


class TermsBody(ActBody):
    """A change of a partner's terms."""

    terms: NewTerms
    expected: SeenTerms | None = Field(
        default=None,
        description="Terms as you read them: if one of them is another by now, nothing is done.",
    )


class RotationBody(ActBody):
    """A rotation of the secret. Without a `secret` a new one is made, and returned once."""

    secret: SecretStr | None = Field(default=None, max_length=1000)
    switch_at: GivenTime | None = Field(
        default=None, description="When the new secret begins to sign; at once if not given."
    )
    forget_at: GivenTime | None = Field(
        default=None,
        description="How long the old secret is accepted; 24 hours after the switch if not given.",
    )
    expected: Annotated[str, Field(max_length=64)] | None = Field(
        default=None,
        description="The partner's `secret_status.version` as you read it: if it is another by"
        " now, nothing is done.",
    )


class SendPartnerAgainBody(ActBody):
    """What is sent again: all that the partner took in [since, until)."""

    since: GivenTime
    until: GivenTime
    pace: (
        Annotated[float, Field(gt=0, le=10_000, description="Tickets a second at most.")] | None
    ) = None


class PingBody(ActBody):
    """How the partner is called."""

    signed: bool = Field(
        default=False, description="Send a signed test that touches no ticket, not the plain ping."
    )


class EndBody(ActBody):
    """The confirmation that the partnership ends for good."""

    confirm: Annotated[str, Field(max_length=64)] = Field(
        description="The operator's code once more: the end is final."
    )


@dataclass(frozen=True, slots=True)
class PartnerSwitch:
    """Whether notices are sent to the partner now. *changed*: by this request."""

    code: str
    disabled: bool
    changed: bool


@dataclass(frozen=True, slots=True)
class NewPartnerTerms:
    """The terms as they are now, and the names of those that this request changed."""

    terms: OperatorTerms
    changed: list[str]


@dataclass(frozen=True, slots=True)
class SecretRotation:
    """The schedule of a rotation.

    *secret*: the one that was made here, in the first response alone; null if the client brought
    its own, and in a replayed response.
    """

    code: str
    secret: str | None = field(repr=False)
    switch_at: datetime
    forget_at: datetime
    interrupted: InterruptedRotation | None


@routes.post("/partners/{code}/disable", response_model=PartnerSwitch, responses=acts())
async def disable(act: OperationsAct, body: ActBody, code: PathId) -> Response:
    """Send the partner nothing until it is enabled; its events are still applied."""

    def work(connection: Connection, person: Person, now: datetime) -> PartnerSwitch:
        changed = disable_operator(connection, code, now=now, person=person)
        return PartnerSwitch(code, disabled=True, changed=changed)

    return await act.carry_out(body, work)


@routes.post("/partners/{code}/enable", response_model=PartnerSwitch, responses=acts())
async def enable(act: OperationsAct, body: ActBody, code: PathId) -> Response:
    """Send the partner its notices again, at its rate."""

    def work(connection: Connection, person: Person, now: datetime) -> PartnerSwitch:
        changed = enable_operator(connection, code, now=now, person=person)
        return PartnerSwitch(code, disabled=False, changed=changed)

    return await act.carry_out(body, work)


@routes.post("/partners/{code}/terms", response_model=NewPartnerTerms, responses=acts())
async def change_terms(act: OperationsAct, body: TermsBody, code: PathId) -> Response:
    """Change the partner's terms. Delivery uses them within a second."""

    def work(connection: Connection, person: Person, _now: datetime) -> NewPartnerTerms:
        seen = None if body.expected is None else body.expected.facts()
        changed = change_operator(connection, code, body.terms.patch(), person=person, seen=seen)
        return NewPartnerTerms(changed.terms, sorted(changed.before))

    return await act.carry_out(body, work)


@routes.post("/partners/{code}/rotate-secret", response_model=SecretRotation, responses=acts())
async def rotate(act: OperationsAct, body: RotationBody, code: PathId) -> Response:
    """Rotate the partner's secret.

    A secret that is made here is in the first response alone: it is not kept, so a replayed
    response has null. A client that must not lose it brings its own `secret`.
    """
    made = None if body.secret else new_secret()
    secret = made or _given(body)
    vault = act.console.vault

    def work(connection: Connection, person: Person, now: datetime) -> SecretRotation:
        check_secret(secret)
        if body.expected is not None:
            require_secret(connection, code, body.expected)
        switch = body.switch_at or now
        forget = body.forget_at or switch + FORGET_AFTER
        interrupted = rotate_secret(
            connection,
            code,
            secret,
            switch_at=switch,
            forget_at=forget,
            now=now,
            vault=vault,
            person=person,
        )
        return SecretRotation(code, made, switch, forget, interrupted)

    return await act.carry_out(body, work, withheld=["secret"])


def _given(body: RotationBody) -> str:
    assert body.secret is not None, "made here otherwise"
    return body.secret.get_secret_value()


@routes.post("/partners/{code}/send-again", response_model=Job, responses=acts())
async def send_again(act: OperationsAct, body: SendPartnerAgainBody, code: PathId) -> Response:
    """Start a job that sends again what the partner took between two times."""
    arguments = {
        "operator": code,
        "since": format_timestamp(body.since),
        "until": format_timestamp(body.until),
    }
    return await act.carry_out(
        body,
        lambda connection, person, now: start_job(
            connection,
            SEND_OPERATOR_AGAIN.name,
            arguments,
            person=person,
            now=now,
            pace=body.pace,
        ),
    )


@routes.get("/partners/{code}/end", response_model=PartnershipCounts, responses=reads(409))
async def end_preview(
    holder: OperationsToken, console: TheConsole, now: ApiNow, code: PathId
) -> JSONResponse:
    """Count what the end of the partnership would end."""
    counts = await console.read(lambda connection: preview_end(connection, code, now=now))
    return answer(holder, counts)


@routes.post("/partners/{code}/end", response_model=PartnershipEnd, responses=acts())
async def end(act: OperationsAct, body: EndBody, code: PathId) -> Response:
    """End the partnership for good: nothing more is sent or applied; a job ends the tickets."""
    if body.confirm != code:
        raise InvalidError(f"confirm is not {code}; nothing was done")
    return await act.carry_out(
        body,
        lambda connection, person, now: end_partnership(connection, code, person=person, now=now),
    )


@routes.post("/partners/{code}/ping", response_model=PingResult, responses=acts())
async def ping_partner(act: OperationsAct, body: PingBody, code: PathId) -> Response:
    """Call the partner once, disabled or not, and return what it answered. No ticket is touched."""
    console, vault = act.console, act.console.vault

    def find(connection: Connection) -> tuple[Partner, datetime]:
        now = console.clock.now(connection)
        return require_partner(connection, code, now=now), now

    partner, now = await console.read(find)

    def call() -> PingResult:
        return ping_as_configured(
            partner, signed=body.signed, at=now, vault=vault, settings=console.settings
        )

    def record(
        connection: Connection, result: PingResult, person: Person, ended_at: datetime
    ) -> None:
        record_ping(connection, code, result.facts, signed=body.signed, person=person, now=ended_at)

    return await act.carry_out_elsewhere(body, call, record)
