"""The operations API keeps what its own OpenAPI says, whatever it is sent.

Each operation gets requests that fit its description and requests that do not, with a token that
may do everything. None may end in a 500, and every answer must be one that is declared, with the
declared headers and the declared form.
"""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from requests import PreparedRequest
from requests.auth import AuthBase
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from sqlalchemy import Engine, text

from models.database.engine import open_engine
from models.platform.encryption import Vault, new_secret
from models.users import Role
from tests.support import databases
from tests.support.api_client import OperationsApi, operations_api_on
from tests.support.harness import Harness
from tests.support.manual_clock import ManualClock
from tests.support.plain_settings import plain_settings
from worker.console.api.application import PATH, build_api
from worker.console.console import Console
from worker.console.limits import ConsoleLimits
from worker.console.system_watch import SystemWatch

EXAMPLES = 3  # of each kind and operation
SEED = 20  # another number has other requests made
BOUNDED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
NOBODY_LISTENS = text("UPDATE operator SET url = 'http://127.0.0.1:1/', secret = :secret")
UNLIMITED = ConsoleLimits(token_rate=100_000, token_burst=100_000, query_characters=100_000)


def operations_api() -> FastAPI:
    given_ = plain_settings()
    return build_api(Console.prepare(given_, ConsoleLimits()), SystemWatch(given_))


def unlocked(openapi: dict[str, Any]) -> dict[str, Any]:
    """The same without its locks: no request is refused for its token."""
    opened = copy.deepcopy(openapi)
    for path in opened["paths"].values():
        for operation in path.values():
            operation.pop("security", None)
    return opened


SCHEMA = schemathesis.openapi.from_dict(unlocked(operations_api().openapi()))
OPERATIONS = [
    operation.ok() for operation in SCHEMA.get_all_operations() if isinstance(operation, Ok)
]
# An id in a path is any text, so these can be asked for something that does not fit.
CAN_BE_WRONG = [operation for operation in OPERATIONS if operation.query or operation.body]
# What fits the description may still be refused for what it says: a ticket that is unknown, an act
# that is not possible.
REFUSING: list[Any] = list(CHECKS.get_by_names(["positive_data_acceptance"]))

Operation = APIOperation[Any, Any, Any, Any]
AnyCase = Case[Any]


class WithToken(AuthBase):
    """Shows the token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the header."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


@pytest.fixture(scope="module")
def engine(servers, template, database_names) -> Iterator[Engine]:
    url = databases.create(servers.database_url, next(database_names), template=template)
    opened = open_engine(url, application_name="tests", pool_size=4)
    yield opened
    opened.dispose()


@pytest.fixture(scope="module")
def api(engine: Engine) -> Iterator[OperationsApi]:
    url = databases.address_of(engine)
    harness = Harness(engine, ManualClock())
    harness.add_operator()
    harness.say("ticket_win")
    harness.say("ticket_rollback", "other")
    settings_ = plain_settings(database_url=url, partner_networks="127.0.0.0/8")
    secret = Vault.with_keys(settings_.secret_key).encrypt(new_secret())
    with engine.begin() as connection:  # a partner that refuses each connection at once
        connection.execute(NOBODY_LISTENS, {"secret": secret})
    with operations_api_on(settings_, engine, limits=UNLIMITED) as running:
        yield running


@pytest.fixture
def auth(api: OperationsApi) -> WithToken:
    return WithToken(api.as_role(Role.OPERATIONS).token)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_what_fits_is_answered_as_described(
    api: OperationsApi, auth: WithToken, operation: Operation
):
    @seed(SEED)
    @BOUNDED
    @given(case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE), known=st.booleans())
    def ask(case: AnyCase, *, known: bool) -> None:
        if known:
            speak_of_what_is_there(case)
        case.call_and_validate(base_url=api.url + PATH, auth=auth, excluded_checks=REFUSING)

    print(f"requests made with the seed {SEED}")  # noqa: T201 - shown when it fails
    ask()


@pytest.mark.parametrize("operation", CAN_BE_WRONG, ids=lambda operation: operation.label)
def test_what_does_not_fit_is_refused_as_described(
    api: OperationsApi, auth: WithToken, operation: Operation
):
    @seed(SEED)
    @BOUNDED
    @given(case=operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def ask(case: AnyCase) -> None:
        case.call_and_validate(base_url=api.url + PATH, auth=auth)

    print(f"requests made with the seed {SEED}")  # noqa: T201 - shown when it fails
    ask()


def speak_of_what_is_there(case: AnyCase) -> None:
    """Put names that are known in place of those made up, so that more than refusals is seen."""
    known: dict[str, Any] = {"operator": "acme", "code": "acme", "ticket_id": "T", "notice": 1}
    for name in known.keys() & case.path_parameters.keys():
        case.path_parameters[name] = known[name]
    if "operator" in case.query:
        case.query["operator"] = "acme"
