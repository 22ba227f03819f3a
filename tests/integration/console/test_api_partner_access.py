"""A partner's access over HTTP: secrets come in, and none goes out or is kept in the clear."""

import logging
from datetime import timedelta

import pytest
from sqlalchemy import text

from models.access.document import open_access
from models.access.values import Access, Basic, Header
from models.operators import NewOperator, add_operator
from models.platform.encryption import Vault, new_secret
from models.platform.timestamps import format_timestamp
from tests.support.api_client import PERSON, OperationsApi
from tests.support.client_certificates import make_pair

CANARY = "canary-9Kx4"
PATH = "/partners/sure/access"
KEPT = text("SELECT body FROM kept_response")
BASIC = {"basic": {"user": "us", "password": f"{CANARY}-basic"}}
SEALED = text("SELECT access FROM operator WHERE code = 'sure'")


@pytest.fixture
def vault(api: OperationsApi) -> Vault:
    """The console's keys, with a partner whose access they open."""
    vault = Vault.with_keys(api.settings.secret_key)
    new = NewOperator(code="sure", url="https://sure.example/", protocol="pam", secret=new_secret())
    with api.engine.begin() as connection:
        add_operator(connection, new, vault=vault, person=PERSON)
    return vault


def traces(api: OperationsApi, logged: str) -> str:
    """All that stays of a request besides the sealed access."""
    with api.engine.connect() as connection:
        kept = list(connection.execute(KEPT).scalars())
    return f"{kept} {api.acts('access_changed')} {logged}"


def test_an_access_is_set_once_for_a_key_and_its_secrets_stay_inside(
    api: OperationsApi, vault: Vault, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    headers = [{"name": "X-Api-Key", "value": f"{CANARY}-header"}]
    given = BASIC | {"headers": headers}

    first = api.operations.act(PATH, key="one", access=given)
    again = api.operations.act(PATH, key="one", access=given)
    same = api.operations.act(PATH, access=given)

    assert first.status_code == 200, first.text
    version = first.json()["version"]
    assert first.json() == {
        "code": "sure",
        "access": {
            "headers": [{"name": "X-Api-Key", "value": None}],
            "method": "basic",
            "user": "us",
        },
        "next": None,
        "switch_at": None,
        "version": version,
        "changed": True,
    }
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert same.json()["changed"] is False
    with api.engine.connect() as connection:
        sealed = connection.execute(SEALED).scalar_one()
    assert open_access(sealed, vault) == Access(
        headers=(Header("X-Api-Key", f"{CANARY}-header"),), basic=Basic("us", f"{CANARY}-basic")
    )
    assert len(api.acts("access_changed")) == 1
    seen = api.viewer.get(PATH)
    assert seen.json()["access"] == first.json()["access"]
    assert CANARY not in first.text + again.text + seen.text + traces(api, caplog.text)


@pytest.mark.usefixtures("vault")
def test_a_rotation_waits_for_its_moment_and_an_empty_access_removes_all(api: OperationsApi):
    with api.engine.connect() as connection:
        moment = connection.execute(text("SELECT now()")).scalar_one() + timedelta(hours=1)
    api.operations.act(PATH, access=BASIC)

    rotated = api.operations.act(
        PATH, access={"bearer": f"{CANARY}-new"}, switch_at=format_timestamp(moment)
    )

    assert rotated.status_code == 200, rotated.text
    assert rotated.json()["access"]["method"] == "basic"
    assert rotated.json()["next"] == {"method": "bearer"}
    assert api.viewer.read(PATH)["switch_at"] is not None
    removed = api.operations.act(PATH, access={})
    assert removed.json()["changed"] is True
    read = api.viewer.read(PATH)
    assert (read["access"], read["next"], read["switch_at"]) == ({}, None, None)


@pytest.mark.usefixtures("vault")
def test_one_that_was_replaced_since_it_was_read_stays(api: OperationsApi):
    seen = api.viewer.read(PATH)["version"]

    first = api.operations.act(PATH, access=BASIC, expected=seen)
    late = api.operations.act(PATH, access={}, expected=seen)
    again = api.operations.act(PATH, access={}, expected=first.json()["version"])

    assert (first.status_code, late.status_code, again.status_code) == (200, 409, 200), late.text
    assert "was replaced meanwhile" in late.json()["message"]
    assert len(api.acts("access_changed")) == 2


@pytest.mark.usefixtures("vault")
def test_every_mistake_is_named_and_no_secret_is_repeated(
    api: OperationsApi, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    with api.engine.connect() as connection:
        pair = make_pair(connection.execute(text("SELECT now()")).scalar_one())
    passphrase = f"{CANARY}-passphrase"
    locked = {"chain": pair.chain, "key": pair.encrypted_key("another")}
    wrong = {
        "exclude each other": BASIC | {"bearer": f"{CANARY}-bearer"},
        "printable ASCII without spaces": {"bearer": f"{CANARY} bearer"},
        "passphrase does not fit": {"certificate": locked | {"passphrase": passphrase}},
        "Slipway or HTTP sets it": {"headers": [{"name": "Host", "value": f"{CANARY}-host"}]},
        "the request is invalid": {"basic": {"user": "us", "pasword": f"{CANARY}-typo"}},
    }
    for words, access in wrong.items():
        refused = api.operations.act(PATH, access=access)
        assert (refused.status_code, words in refused.text) == (422, True), refused.text
        assert CANARY not in refused.text, words

    assert api.viewer.read(PATH)["access"] == {}
    assert api.acts("access_changed") == []
    assert CANARY not in traces(api, caplog.text)


@pytest.mark.usefixtures("vault")
def test_who_may_not_set_it_and_what_is_not_there(api: OperationsApi):
    assert api.viewer.act(PATH, access=BASIC).status_code == 403
    assert api.support.act(PATH, access=BASIC).status_code == 403
    assert api.operations.act("/partners/nobody/access", access=BASIC).status_code == 404
    assert api.viewer.get("/partners/nobody/access").status_code == 404
