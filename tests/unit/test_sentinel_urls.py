"""A Redis URL that names sentinels says the same to redis-py, to kombu and to Flower."""

import ssl

import pytest
from kombu.connection import Connection
from pydantic import ValidationError

from models.settings.errors import describe_errors
from models.settings.redis_address import (
    kombu_url,
    redis_address,
    redis_database,
    redis_host,
    sentinel_address,
)
from models.settings.settings import Settings
from tests.support.plain_settings import plain_settings
from worker.celery.configuration import configuration

URL = "redis+sentinel://user:p%40ss@s1:26379,s2:26380/mymaster/3?sentinel_password=of%26them"


def test_its_parts_are_read() -> None:
    address = sentinel_address(redis_address(URL))

    assert address is not None
    assert address.sentinels == (("s1", 26379), ("s2", 26380))
    assert (address.primary, address.database) == ("mymaster", 3)
    assert address.login == {"username": "user", "password": "p@ss"}
    assert address.sentinel_login == {"password": "of&them"}
    assert address.encryption() == {}


@pytest.mark.parametrize(
    ("url", "sentinels", "database"),
    [
        ("redis+sentinel://s1,s2/m", (("s1", 26379), ("s2", 26379)), 0),
        ("redis+sentinel://s1:1/m/", (("s1", 1),), 0),
        (" REDIS+SENTINEL://:pass@S1:1/m/7\n", (("S1", 1),), 7),
        ("redis+sentinel://[fd00::1]:2,[::1]/m/0", (("fd00::1", 2), ("::1", 26379)), 0),
    ],
)
def test_port_and_database_may_be_left_out(
    url: str, sentinels: tuple[tuple[str, int], ...], database: int
) -> None:
    address = sentinel_address(redis_address(url))

    assert address is not None
    assert (address.sentinels, address.database) == (sentinels, database)


def test_with_tls_sentinels_and_primary_are_verified() -> None:
    address = sentinel_address("rediss+sentinel://s1/m/0?ssl_ca_certs=/ca.pem")

    assert address is not None
    assert address.encryption() == {
        "ssl": True,
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        "ssl_check_hostname": True,
        "ssl_ca_certs": "/ca.pem",
    }


def test_kombu_is_told_the_same() -> None:
    given = configuration(plain_settings(redis_url=URL))

    with Connection(given["broker_url"]) as connection:  # type: ignore[no-untyped-call]  # kombu's
        assert connection.alt == [
            "sentinel://user:p%40ss@s1:26379/3",
            "sentinel://user:p%40ss@s2:26380/3",
        ]
        assert (connection.userid, connection.password) == ("user", "p@ss")
        assert connection.virtual_host == "3"
        assert "ss" not in connection.as_uri().partition("@")[0].removeprefix("sentinel")
    options = given["broker_transport_options"]
    assert options["master_name"] == "mymaster"
    assert options["sentinel_kwargs"]["password"] == "of&them"
    assert given["broker_use_ssl"] is False


def test_without_a_login_kombu_gets_none() -> None:
    assert kombu_url("redis+sentinel://[::1]:1/m") == "sentinel://[::1]:1/0"


def test_what_may_be_shown_has_no_password() -> None:
    assert redis_host(URL) == "s1:26379,s2:26380"
    assert redis_database(URL) == ("s1:26379,s2:26380", "mymaster/3")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis+sentinel://u:hidden@s1", "the primary's name"),
        ("redis+sentinel://u:hidden@s1/", "the primary's name"),
        ("redis+sentinel://u:hidden@s1/m/x", "the number of a database"),
        ("redis+sentinel://u:hidden@s1/m/0/1", "the number of a database"),
        ("redis+sentinel://u:hidden@s1:x/m/0", "each with its port"),
        ("redis+sentinel://u:hidden@s1:0/m/0", "each with its port"),
        ("redis+sentinel://u:hidden@s1:65536/m/0", "each with its port"),
        ("redis+sentinel://u:hidden@s1,/m/0", "separated by commas"),
        ("redis+sentinel://u:hidden@/m/0", "each with its port"),
        ("redis+sentinel://u:hid/den@s1/m/0", "percent-encoded"),
        ("redis+sentinel://u:hid,den@s1/m/0@", "percent-encoded"),
        ("redis+sentinel://u:hid@den@s1/m/0", "percent-encoded"),
        ("redis+sentinel://u:hid#den@s1/m/0", "percent-encoded"),
        ("redis+sentinel://u:hid;den@s1/m/0", "percent-encoded"),
        ("redis+sentinel://u:hidden@s1 ,s2/m/0", "percent-encode"),
        ("redis+sentinel://u:hidden@s1,s1:26379/m/0", "each sentinel once"),
        ("redis+sentinel://s1/m/0?sentinel_user=hidden", "needs sentinel_password"),
        ("redis+sentinel://s1/m/0?service_name=hidden", "takes these options"),
        ("redis+sentinel://s1/m/0?ssl_ca_certs=hidden", "need rediss://"),
        ("rediss+sentinel://s1/m/0?ssl_cert_reqs=none", "must be required"),
        ("rediss+sentinel://s1/m/0?ssl_check_hostname=false", "must be true"),
        ("rediss+sentinel://s1/m/0?ssl_keyfile=hidden", "need ssl_certfile"),
        ("redis://s1/0?sentinel_password=hidden", "takes these options"),
        ("sentinel://u:hidden@s1/m/0", "redis+sentinel://"),
        ("redis://u:hidden@s1,s2/0", "redis+sentinel://"),
    ],
)
@pytest.mark.parametrize("field", ["redis_url", "broker_url"])
def test_a_wrong_one_is_refused_with_setting_and_what_was_expected(
    url: str, expected: str, field: str
) -> None:
    with pytest.raises(ValidationError) as refusal:
        plain_settings(**{field: url})

    (sentence, *_) = describe_errors(refusal.value, described=Settings)
    assert sentence.startswith(f"SLIPWAY_{field.upper()}: ")
    assert expected in sentence
    assert not any(part in sentence for part in ("hid", "den@"))
