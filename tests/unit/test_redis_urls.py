"""A Redis URL says the same to every client of ours, and none of them verifies less."""

import ssl
from typing import Any

import pytest
from pydantic import ValidationError
from redis.connection import parse_url

from models.settings.errors import describe_errors
from models.settings.redis_address import kombu_url, redis_address, redis_tls
from models.settings.settings import Settings
from tests.support.plain_settings import plain_settings
from worker.celery.configuration import configuration

VERIFIED = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}
CHOICES = {
    "": VERIFIED,
    "?ssl_cert_reqs=required": VERIFIED,
    "?ssl_cert_reqs=optional": VERIFIED,  # a server always shows one
    "?ssl_check_hostname=True": VERIFIED,
    "?ssl_ca_certs=%2Fetc%2Fca+1.pem": {**VERIFIED, "ssl_ca_certs": "/etc/ca 1.pem"},
    "?ssl_ca_path=/etc/ca": {**VERIFIED, "ssl_ca_path": "/etc/ca"},
    "?ssl_certfile=/c.pem&ssl_keyfile=/k.pem&ssl_password=a%26b": {
        **VERIFIED,
        "ssl_certfile": "/c.pem",
        "ssl_keyfile": "/k.pem",
        "ssl_password": "a&b",
    },
}


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("rediss://user:pass@host", "rediss://user:pass@host"),
        ("redis://host/", "redis://host/"),
        (" redis://host/15\n", "redis://host/15"),
        ("REDISS://user:p%3Fss@host/2", "rediss://user:p%3Fss@host/2"),
    ],
)
def test_a_redis_url_is_taken_as_it_is(url: str, taken: str) -> None:
    assert redis_address(url) == taken


@pytest.mark.parametrize(
    "url",
    [
        *(
            "redis://h/x",
            "redis://h/-1",
            "redis://h/1/2",
            "redis://h/0x1",
            "redis://h//1",
            "redis://h/1/",
        ),
        *(
            "redis://h/%31",
            "redis://h/\u0661",
            "redis://h/ 1",
            "redis://a,b/0",
            "redis://a:1,b:2/0",
        ),
        *(
            "redis://u:hid@den@h/0",
            "redis://u:1/hid@h/0",
            "redis://u:hid den@h",
            "redis://u:h\nd@h",
        ),
        *("", "host:6379", "sentinel://host:26379", "redis://", "http://u:hidden@host"),
        *("redis://h:x", "redis://u:1?x=hidden@host", "redis://u:1#hidden@host"),
        *("redis://a;redis://hidden", "redis://h?db=1", "redis://h?ssl_cert_reqs=required"),
        "rediss://h?ssl_cert_reqs=CERT_NONE",  # kombu's word, which redis-py does not read
        *("rediss://h?ssl_cert_reqs=hidden", "rediss://h?ssl_check_hostname=hidden"),
        *(
            "rediss://h?ssl_ca_certs=",
            "rediss://h?ssl_keyfile=/k",
            "rediss://h?ssl_password=hidden",
        ),
        "rediss://h?ssl_cert_reqs=none&ssl_cert_reqs=required",
    ],
)
def test_another_redis_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="URL") as refusal:
        redis_address(url)

    assert "hidden" not in str(refusal.value)


@pytest.mark.parametrize(("options", "meant"), CHOICES.items())
def test_celery_and_redis_py_verify_the_same(options: str, meant: dict[str, Any]) -> None:
    settings = plain_settings(redis_url=f"rediss://user:pass@redis.example.com:6380/3{options}")

    celery = configuration(settings)
    ours = parse_url(settings.redis_url)  # type: ignore[no-untyped-call]  # redis-py's
    ours = {**VERIFIED, **ours}  # redis-py's defaults

    assert celery["broker_url"] == "rediss://user:pass@redis.example.com:6380/3"
    assert celery["broker_use_ssl"] == meant
    assert {name: value for name, value in ours.items() if name.startswith("ssl_")} == meant
    assert redis_address(settings.redis_url) == settings.redis_url


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ("ssl_cert_reqs=none", "ssl_cert_reqs"),
        ("ssl_cert_reqs=none&ssl_check_hostname=true", "ssl_cert_reqs"),
        ("ssl_cert_reqs=None", "ssl_cert_reqs"),
        ("ssl_cert_reqs=", "ssl_cert_reqs"),
        ("ssl_check_hostname=false", "ssl_check_hostname"),
        ("ssl_check_hostname=0", "ssl_check_hostname"),
        ("ssl_check_hostname=&ssl_ca_certs=/ca.pem", "ssl_check_hostname"),
    ],
)
@pytest.mark.parametrize("field", ["redis_url", "broker_url"])
def test_an_option_that_verifies_less_is_refused(options: str, name: str, field: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        plain_settings(**{field: f"rediss://user:hidden@redis.example.com:6380/3?{options}"})

    (sentence, *_) = describe_errors(refusal.value, described=Settings)
    assert sentence.startswith(
        f"SLIPWAY_{field.upper()}: {name} in the Redis URL of redis.example.com"
    )
    assert "(the default)" in sentence
    assert "hidden" not in sentence


def test_without_tls_there_is_nothing_to_verify() -> None:
    settings = plain_settings(redis_url="redis://user:pass@host:1/2")

    assert configuration(settings)["broker_use_ssl"] is False
    assert redis_tls(settings.redis_url) is None
    assert kombu_url(settings.redis_url) == settings.redis_url


def test_a_key_s_password_is_not_shown() -> None:
    tls = redis_tls("rediss://h?ssl_certfile=/c.pem&ssl_password=hidden")

    assert "hidden" not in repr(tls)
