"""Whatever stands in a password, no error about an address repeats a part of it."""

import os
import traceback

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from models.database.engine import open_engine
from models.settings.errors import InvalidSettings
from models.settings.settings import read_settings
from producers.publisher import Publisher, PublishIncomplete
from tests.support.delivery_setup import KEY
from tests.support.searches import examples
from worker.process.redis_client import open_redis

PARTS = ("Zq7xW", "Kw9vT", "Jb3nR")
NO_SERVER = "127.0.0.1:1"  # nothing listens there
# What ends a part of a URL, to one reader or another, or means something else there.
SPECIAL = st.sampled_from([*"@@@/?#:;,[]%&=+ \\'\"$!*\t\n", *"\x00\u00e9\uff03\u2100", "%4", "%40"])
PASSWORDS = st.lists(st.sampled_from(PARTS) | SPECIAL, min_size=1, max_size=7).map("".join)
USERS = st.sampled_from(["u", "", "Zq7xW", "Zq7xW@h"])
HOSTS = st.sampled_from([NO_SERVER, NO_SERVER, f"{NO_SERVER},{NO_SERVER}", f"{NO_SERVER},,x:y"])
ENDS = st.sampled_from(["", "/", "/0", "/name", "/name?sslmode=disable", "/x"])


def text_of(error: BaseException) -> str:
    """All that a log could show of it."""
    return "".join(traceback.format_exception(error)) + repr(error)


def connect(scheme: str, url: str) -> None:
    if scheme == "postgresql":
        engine = open_engine(url, application_name="tests", pool_size=1)
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    else:
        open_redis(url, retries=0, name="tests").ping()


@pytest.mark.parametrize("scheme", ["postgresql", "redis"])
@settings(max_examples=examples(150), deadline=None, database=None)
@given(user=USERS, password=PASSWORDS, hosts=HOSTS, end=ENDS)
def test_no_part_of_a_password_is_in_an_error(scheme, user, password, hosts, end):
    url = f"{scheme}://{user}:{password}@{hosts}{end}"
    other = "redis://127.0.0.1:1/0" if scheme == "postgresql" else "postgresql://127.0.0.1:1/name"
    named = {"postgresql": "SLIPWAY_DATABASE_URL", "redis": "SLIPWAY_REDIS_URL"}
    environment = {named[scheme]: url, "SLIPWAY_SECRET_KEY": KEY}
    environment |= {name: other for name in named.values() if name not in environment}
    assume("\x00" not in url)  # no variable can hold it

    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("SLIPWAY_")]:
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        read_settings.cache_clear()
        try:
            taken = read_settings()
        except InvalidSettings as refusal:
            shown = text_of(refusal)
        else:
            with pytest.raises((SQLAlchemyError, RedisError)) as away:
                connect(scheme, taken.database_url if scheme == "postgresql" else taken.redis_url)
            shown = text_of(away.value)
        finally:
            read_settings.cache_clear()

    visible = [part for part in PARTS if part in password and part not in user]
    assert [part for part in visible if part in shown] == []


@settings(max_examples=examples(30), deadline=None, database=None)
@given(password=PASSWORDS, end=ENDS)
def test_a_publisher_tells_none_of_it_either(password, end):
    with pytest.raises((ValueError, PublishIncomplete)) as refusal:
        Publisher.at(f"redis://u:{password}@{NO_SERVER}{end}").publish(
            {"action": "ticket_win", "data": {"operator": "acme", "ticket_id": "7"}}
        )

    assert [part for part in PARTS if part in text_of(refusal.value)] == []
