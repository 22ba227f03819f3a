"""Acts over HTTP: done once for each key, with the token's name and the reason."""

import threading
from collections.abc import Callable
from functools import partial

import httpx
import pytest
from sqlalchemy import text

from models.operators import NewOperator, add_operator
from models.platform.encryption import Vault, new_secret
from tests.support.api_client import PERSON, OperationsApi

KEPT = text("SELECT body FROM kept_response")
HELD = "/tickets/acme/T/hold"


@pytest.fixture
def ticket(harness):
    harness.say("ticket_win")


def kept(api: OperationsApi) -> list[str]:
    with api.engine.connect() as connection:
        return list(connection.execute(KEPT).scalars())


@pytest.mark.usefixtures("ticket")
def test_an_act_is_kept_with_the_tokens_name_and_the_reason(api: OperationsApi):
    response = api.support.act(HELD, why="  the player disputes it ")

    assert response.status_code == 200, response.text
    assert response.json()["ticket_id"] == "T"
    (act,) = api.acts("ticket_held")
    assert (act["who"], act["why"]) == ("token support", "the player disputes it")


@pytest.mark.usefixtures("ticket")
def test_the_same_request_again_gets_the_first_response_and_does_nothing(api: OperationsApi):
    first = api.support.act(HELD, key="one")
    assert api.support.act("/tickets/acme/T/release", key="two").status_code == 200
    again = api.support.act(HELD, key="one")

    assert again.status_code == 200
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert len(api.acts("ticket_held")) == 1


@pytest.mark.usefixtures("ticket")
@pytest.mark.parametrize("change", [{"path": "/tickets/acme/T/release"}, {"why": "another reason"}])
def test_the_same_key_with_another_request_is_refused(api: OperationsApi, change):
    api.support.act(HELD, key="one")

    response = api.support.act(change.pop("path", HELD), key="one", **change)

    assert response.status_code == 422
    assert "another request" in response.json()["message"]
    assert api.acts("ticket_released") == []


@pytest.mark.usefixtures("ticket")
def test_another_token_has_its_own_keys(api: OperationsApi):
    api.support.act(HELD, key="one")

    response = api.operations.act("/tickets/acme/T/release", key="one")

    assert response.status_code == 200
    assert [act["who"] for act in api.acts("ticket_released")] == ["token operations"]


@pytest.mark.usefixtures("ticket")
def test_an_act_that_was_refused_leaves_its_key_free(api: OperationsApi):
    refused = api.support.act("/tickets/acme/T/release", key="one")
    api.support.act(HELD)
    done = api.support.act("/tickets/acme/T/release", key="one")

    assert refused.status_code == 409
    assert "not on hold" in refused.json()["message"]
    assert done.status_code == 200


@pytest.mark.usefixtures("ticket")
def test_identical_requests_at_once_are_one_act(api: OperationsApi):
    clients = [api.client(api.support.token) for _ in range(4)]
    responses = at_once([partial(client.act, HELD, key="one") for client in clients])

    done = [response for response in responses if response.status_code == 200]
    others = {response.status_code for response in responses} - {200}
    assert len(api.acts("ticket_held")) == 1
    assert done
    assert others <= {409}
    assert all(response.json() == done[0].json() for response in done)


def at_once(calls: list[Callable[[], httpx.Response]]) -> list[httpx.Response]:
    """Make all calls at the same moment, and return what they returned."""
    barrier = threading.Barrier(len(calls))
    results: list[httpx.Response] = []

    def run(call: Callable[[], httpx.Response]) -> None:
        barrier.wait()
        results.append(call())

    threads = [threading.Thread(target=run, args=[call]) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.usefixtures("ticket")
@pytest.mark.parametrize("key", [None, "", "x" * 65, "a b", "é"])
def test_without_a_proper_key_nothing_is_done(api: OperationsApi, key: str | None):
    headers = httpx.Headers(api.support.headers(), encoding="latin-1")
    if key is not None:
        headers["Idempotency-Key"] = key
    response = api.support.http.post(f"/api/v1{HELD}", json={"why": "a test"}, headers=headers)

    assert response.status_code == 422
    assert response.json()["errors"][0]["at"] == ["header", "Idempotency-Key"]
    assert api.acts("ticket_held") == []


@pytest.mark.usefixtures("ticket")
@pytest.mark.parametrize(
    "body", [{}, {"why": ""}, {"why": "   "}, {"why": "x" * 1001}, {"why": "a", "more": 1}, [], 7]
)
def test_without_a_reason_nothing_is_done(api: OperationsApi, body):
    response = api.support.post(HELD, body, key="one")

    assert response.status_code == 422
    assert response.json()["errors"]
    assert api.acts("ticket_held") == []


@pytest.mark.usefixtures("ticket")
@pytest.mark.parametrize(
    "body", [b'{"why": "a\\u0000b"}', b'{"why": "a\\ud800b"}', b'{"why": "a', b"\xff", b""]
)
def test_what_cannot_be_stored_or_read_is_refused(api: OperationsApi, body: bytes):
    headers = api.support.headers() | {
        "Idempotency-Key": "one",
        "Content-Type": "application/json",
    }
    response = api.support.http.post(f"/api/v1{HELD}", content=body, headers=headers)

    assert response.status_code in {400, 422}, response.text
    assert api.acts("ticket_held") == []


def test_a_secret_that_was_made_is_returned_once_and_never_kept(api: OperationsApi, partner: str):
    path = f"/partners/{partner}/rotate-secret"
    first = api.operations.act(path, key="one")
    again = api.operations.act(path, key="one")

    secret = first.json()["secret"]
    assert len(secret) >= 16
    assert again.json() == first.json() | {"secret": None}
    assert not any(secret in body for body in kept(api))
    assert len(api.acts("secret_rotated")) == 1
    assert secret not in str(api.acts("secret_rotated"))


def test_a_secret_that_the_client_brings_is_returned_never(api: OperationsApi, partner: str):
    secret = "the client's own secret, long enough"
    response = api.operations.act(f"/partners/{partner}/rotate-secret", secret=secret)

    assert response.status_code == 200, response.text
    assert response.json()["secret"] is None
    assert secret not in response.text


def test_a_secret_that_was_replaced_since_it_was_read_is_left_alone(
    api: OperationsApi, partner: str
):
    path = f"/partners/{partner}/rotate-secret"
    seen = api.operations.read(f"/partners/{partner}")["secret_status"]["version"]

    first = api.operations.act(path, expected=seen)
    late = api.operations.act(path, expected=seen)

    assert (first.status_code, late.status_code) == (200, 409)
    assert "replaced meanwhile" in late.json()["message"]
    assert len(api.acts("secret_rotated")) == 1


def test_a_ping_is_kept_with_what_it_met(api: OperationsApi, partner: str):
    path = f"/partners/{partner}/ping"
    with api.engine.begin() as connection:  # a partner that refuses each connection at once
        connection.execute(text("UPDATE operator SET url = 'http://127.0.0.1:1/'"))

    first = api.operations.act(path, key="one")
    again = api.operations.act(path, key="one")

    assert first.status_code == 200, first.text
    assert again.json() == first.json()
    (kept_act,) = api.acts("partner_pinged")
    assert kept_act["facts"]["signed"] is False
    assert kept_act["facts"]["problem"] == first.json()["problem"] is not None


@pytest.mark.usefixtures("partner")
def test_a_call_that_cannot_be_signed_is_refused_and_not_recorded(api: OperationsApi):
    house = NewOperator(
        code="house",
        url="https://house.example/",
        protocol="seamless",
        secret=new_secret(),
        agent="us",
    )
    vault = Vault.with_keys(api.settings.secret_key)
    with api.engine.begin() as connection:
        add_operator(connection, house, vault=vault, person=PERSON)

    refused = api.operations.act("/partners/house/ping", signed=True)

    assert refused.status_code == 409
    assert "not signed" in refused.json()["message"]
    assert api.acts("partner_pinged") == []


@pytest.fixture
def partner(harness, api: OperationsApi) -> str:
    """A partner whose secret the console can read."""
    vault = Vault.with_keys(api.settings.secret_key)
    new = NewOperator(code="sure", url="https://sure.example/", protocol="pam", secret=new_secret())
    with harness.engine.begin() as connection:
        add_operator(connection, new, vault=vault, person=PERSON)
    return "sure"
