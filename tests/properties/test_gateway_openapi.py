"""The gateway keeps what its own OpenAPI says, whatever is sent: schemathesis asks it all.

Each operation gets requests that fit its description and requests that do not, signed and with a
key. None may end in a 500, and every answer must be one that is declared, with the declared
headers and the declared form.
"""

import copy
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests import PreparedRequest
from requests.auth import AuthBase
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from sqlalchemy import Engine

from models.database.engine import open_engine
from models.platform.signing import sign
from producers.gateway.app import build_app
from tests.support import databases
from tests.support.gateway_app import SECRET, GatewayApp, gateway_app_on
from tests.support.plain_settings import plain_settings
from tests.support.searches import examples

EXAMPLES = 15
OPENAPI = build_app(plain_settings()).openapi()


def unlocked(openapi: dict[str, Any]) -> dict[str, Any]:
    """The same without its locks: no request is refused for its signature or key."""
    opened = copy.deepcopy(openapi)
    for path in opened["paths"].values():
        for operation in path.values():
            operation.pop("security", None)
    return opened


SCHEMA = schemathesis.openapi.from_dict(unlocked(OPENAPI))
OPERATIONS = [
    operation.ok() for operation in SCHEMA.get_all_operations() if isinstance(operation, Ok)
]
# What fits the description may still be refused for what it says: an operator or a ticket that is
# unknown, a page behind no other page.
ALWAYS_TAKEN = [
    operation for operation in OPERATIONS if operation.label in {"GET /readyz", "GET /be/tickets"}
]
# An id in a path is any text, so these can be asked for something that does not fit.
CAN_BE_WRONG = [operation for operation in OPERATIONS if operation.query or operation.body]
REFUSING: list[Any] = list(CHECKS.get_by_names(["positive_data_acceptance"]))
LOCKED = [
    (method, path)
    for path, operations in OPENAPI["paths"].items()
    for method, operation in operations.items()
    if operation.get("security")
]


Operation = APIOperation[Any, Any, Any, Any]
AnyCase = Case[Any]


class Signed(AuthBase):
    """Signs each request as it is about to be sent, and shows a key."""

    def __init__(self, operator: str, key: str) -> None:
        self._operator = operator
        self._key = key

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the headers that both kinds of paths ask for."""
        body = request.body or b""
        assert isinstance(body, str | bytes), "nothing is streamed here"
        raw = body.encode() if isinstance(body, str) else body
        now = int(time.time())
        signature = sign(raw, timestamp=now, secret=SECRET)
        request.headers.update(
            {"timestamp": str(now), "operator-name": self._operator, "signature": signature}
        )
        request.headers["X-Api-Key"] = self._key
        return request


@pytest.fixture(scope="module")
def engine(servers, template, database_names) -> Iterator[Engine]:
    url = databases.create(servers.database_url, next(database_names), template=template)
    opened = open_engine(url, application_name="tests", pool_size=4)
    yield opened
    opened.dispose()


@pytest.fixture(scope="module")
def gateway_app(servers, engine: Engine) -> Iterator[GatewayApp]:
    url = databases.address_of(engine)
    given_ = plain_settings(database_url=url, redis_url=servers.redis_url)
    with gateway_app_on(given_, engine) as made:
        yield made


@pytest.fixture(scope="module")
def acme(gateway_app: GatewayApp) -> str:
    return gateway_app.operator()


@pytest.fixture
def auth(gateway_app: GatewayApp, acme: str, operation: Operation) -> Signed:
    key = gateway_app.key(acme) if "lottery" in operation.path else gateway_app.key()
    return Signed(acme, key)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_what_fits_is_answered_as_described(
    gateway_app: GatewayApp, acme: str, auth: Signed, operation: Operation
):
    ticket = gateway_app.reserved(acme)
    excluded = [] if operation in ALWAYS_TAKEN else REFUSING

    @settings(
        max_examples=examples(EXAMPLES), deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE), known=st.booleans())
    def ask(case: AnyCase, *, known: bool) -> None:
        if known:
            speak_of(case, operator=acme, ticket=ticket)
            case.headers = without_binary_mode(case.headers)
        case.call_and_validate(
            base_url=str(gateway_app.client.base_url), auth=auth, excluded_checks=excluded
        )

    ask()


@pytest.mark.parametrize("operation", CAN_BE_WRONG, ids=lambda operation: operation.label)
def test_what_does_not_fit_is_refused_as_described(
    gateway_app: GatewayApp, auth: Signed, operation: Operation
):
    @settings(
        max_examples=examples(EXAMPLES), deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(case=operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def ask(case: AnyCase) -> None:
        case.call_and_validate(base_url=str(gateway_app.client.base_url), auth=auth)

    ask()


@pytest.mark.parametrize(("method", "path"), LOCKED)
def test_without_a_signature_or_key_nothing_is_returned(
    gateway_app: GatewayApp, method: str, path: str
):
    answer: httpx.Response = gateway_app.client.request(method, path)

    described = OPENAPI["paths"][path][method]
    assert answer.status_code == (403 if "signature" in described["security"][0] else 401)
    assert str(answer.status_code) in described["responses"]


def test_every_operation_but_the_probes_is_locked():
    operations = {path for path in OPENAPI["paths"] if path not in ("/healthz", "/readyz")}

    assert {path for _, path in LOCKED} == operations


def without_binary_mode(headers: Any) -> Any:  # noqa: ANN401 - schemathesis' own type
    """Leave out single attributes of a CloudEvent, with which no body is taken."""
    for name in [name for name in headers or {} if name.lower().startswith("ce-")]:
        del headers[name]
    return headers


def speak_of(case: AnyCase, *, operator: str, ticket: str) -> None:
    """Put names that are known in place of those made up, so that more than refusals is seen."""
    for name in ("identifier", "ticket_id"):
        if name in case.path_parameters:
            case.path_parameters[name] = ticket
    body: Any = case.body
    for event in body if isinstance(body, list) else [body]:
        if isinstance(event, dict) and isinstance(event.get("data"), dict):
            event["data"] |= {"operator": operator, "ticket_id": ticket}
