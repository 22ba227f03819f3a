"""Adding operators: what is refused, what is stored, and that no secret is shown again."""

import json
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import text

from models.operators import (
    ApiKeyTaken,
    NewOperator,
    OperatorExists,
    OperatorInvalid,
    add_operator,
    check_new_operator,
    list_operators,
    secret_warnings,
    terms_warnings,
    url_warnings,
)
from models.operators.interventions import Person
from models.platform.encryption import Vault, hash_key

SECRET = "a-secret-of-many-characters"
API_KEY = "a-key-of-many-characters"
ACME = NewOperator(
    code="acme", url="https://pam.acme.example/hook", protocol="pam", secret=SECRET, api_key=API_KEY
)
ANNA = Person("anna", "contract signed")


@pytest.fixture
def vault() -> Vault:
    return Vault.with_keys([SecretStr(Fernet.generate_key().decode())])


def test_a_secret_is_stored_encrypted_and_an_api_key_as_its_hash(engine, vault):
    with engine.begin() as connection:
        added = add_operator(connection, ACME, vault=vault, person=ANNA)
    with engine.begin() as connection:
        encrypted = connection.execute(text("SELECT secret FROM operator")).scalar_one()
        key = connection.execute(
            text("""
                SELECT p.name, p.key_hash, po.operator FROM publisher p
                  JOIN publisher_operator po ON po.publisher = p.id
            """)
        ).one()
        everything = connection.execute(text("SELECT facts::text FROM intervention")).scalar_one()

    assert vault.decrypt(encrypted) == SECRET
    assert tuple(key) == ("operator/acme", hash_key(API_KEY), added.id)
    assert SECRET not in everything
    assert API_KEY not in everything


def test_the_list_shows_settings_and_no_secret(engine, vault):
    with engine.begin() as connection:
        add_operator(connection, ACME, vault=vault, person=ANNA)
        (line,) = list_operators(connection)

    assert (line.code, line.url, line.close_delay) == ("acme", ACME.url, timedelta(hours=24))
    assert line.keys == ("operator/acme",)
    assert SECRET not in repr(line)
    assert SECRET not in repr(ACME)
    assert API_KEY not in repr(ACME)


def test_who_added_an_operator_and_why_is_kept(engine, vault):
    with engine.begin() as connection:
        add_operator(connection, ACME, vault=vault, person=ANNA)
        row = connection.execute(text("SELECT who, why, did, operator, facts FROM intervention"))
        who, why, did, operator, facts = row.one()

    assert (who, why, did, operator) == ("anna", "contract signed", "operator_added", "acme")
    assert json.loads(json.dumps(facts))["close_delay"] == "24h"


def test_a_code_is_taken_once_and_a_key_belongs_to_one_publisher(engine, vault):
    with engine.begin() as connection:
        add_operator(connection, ACME, vault=vault, person=ANNA)

    with pytest.raises(OperatorExists, match="'acme' exists already"), engine.begin() as second:
        add_operator(second, replace(ACME, api_key=None), vault=vault, person=ANNA)
    with pytest.raises(ApiKeyTaken), engine.begin() as third:
        add_operator(third, replace(ACME, code="betsy"), vault=vault, person=ANNA)
    with engine.begin() as connection:
        assert [line.code for line in list_operators(connection)] == ["acme"]


def test_a_seamless_operator_always_announces_its_tickets(engine, vault):
    """A payout needs the ticket's amounts."""
    wallet = replace(ACME, protocol="seamless", agent="slipway")
    with engine.begin() as connection:
        add_operator(connection, wallet, vault=vault, person=ANNA)

        assert list_operators(connection)[0].announces_tickets


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"code": "a b"}, "printable characters without spaces"),
        ({"code": "x" * 65}, "1 to 64"),
        ({"code": "Jose\u0301"}, r"code must be in Unicode's form NFC: 'Jos\xe9'"),
        ({"url": "ftp://acme.example"}, "must be http:// or https:// with a host"),
        ({"url": "https://"}, "with a host"),
        ({"url": "https://acme.example:99999/"}, "cannot be read"),
        ({"url": "https://acme.example/#here"}, "must not have a fragment"),
        ({"url": "https://acme.example/a b"}, "printable ASCII without spaces"),
        ({"protocol": "smoke"}, "must be one of: pam, seamless"),
        ({"protocol": "seamless"}, "a seamless operator needs an agent"),
        ({"sign_calls": True}, "for seamless operators only"),
        ({"close_delay": timedelta(days=-1)}, "close delay must be from 0s"),
        ({"rate": 0.0}, "rate must be above 0"),
        ({"rate": float("nan")}, "rate must be above 0"),
        ({"in_flight": 0}, "from 1 to 10,000"),
        ({"timezone": "Mars/Olympus"}, "timezone 'Mars/Olympus' is not known"),
        ({"timezone": "/etc/passwd"}, "is not known"),
        ({"lottery_ticket": "draw"}, "must be one of: ticket, ticket+draw"),
        ({"secret": ""}, "the secret must be 1 to 1000"),
        ({"secret": "two\nlines"}, "on one line"),
        ({"api_key": "short"}, "the API key has 5 characters; it needs at least 20"),
        ({"api_key": "with spaces, far too many"}, "without spaces"),
        ({"api_key": SECRET}, "must not be the secret"),
    ],
)
def test_a_mistake_is_named_with_what_to_do(change, message):
    with pytest.raises(OperatorInvalid) as refusal:
        check_new_operator(replace(ACME, **change))

    assert message in str(refusal.value)


def test_every_mistake_is_named_and_no_password_of_a_url():
    wrong = replace(ACME, code="", url="https://user:hunter2@acme.example/", in_flight=0)

    with pytest.raises(OperatorInvalid) as refusal:
        check_new_operator(wrong)

    assert len(refusal.value.problems) == 3
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize(
    "login", ["user:hun/ter2@", "user:hun/t@er2@", "user:hunter2@x@", "hunter2:@", "u:hun?ter2@"]
)
def test_no_part_of_a_password_in_a_url_is_shown(login):
    with pytest.raises(OperatorInvalid) as refusal:
        check_new_operator(replace(ACME, url=f"https://{login}acme.example/"))

    assert not {"hun", "ter2"} & set(re.findall("hun|ter2", str(refusal.value)))


def test_what_is_allowed_but_doubtful_is_a_warning():
    """Promise 7 for the close delay; `SLIPWAY_PARTNER_NETWORKS` for the networks."""
    doubtful = replace(ACME, close_delay=timedelta(minutes=1))
    window = timedelta(minutes=15)

    (warning,) = terms_warnings(doubtful, parking_window=window)

    assert warning.startswith("close delay 1m is shorter")
    assert [warning[:20] for warning in secret_warnings("short")] == ["the secret has 5 cha"]
    assert not secret_warnings(SECRET)
    assert not terms_warnings(ACME, parking_window=window)


@pytest.mark.parametrize(
    ("url", "refused", "public", "warnings"),
    [
        ("http://10.0.0.7/hook", ["10.0.0.7"], False, ["10.0.0.7 is 10.0.0.7, a private"]),
        ("http://pam.acme.example/", [], True, ["the URL is http, not https: everyone"]),
        ("http://pam.acme.example/", [], False, []),
        ("https://pam.acme.example/", [], True, []),
    ],
)
def test_an_address_that_is_allowed_but_doubtful_is_a_warning(url, refused, public, warnings):
    texts = url_warnings(url, name="URL", sent="the notices", refused=refused, public=public)

    assert len(texts) == len(warnings)
    assert all(text.startswith(start) for text, start in zip(texts, warnings, strict=True))
