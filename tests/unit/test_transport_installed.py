"""Our transport is the one that a process uses, whatever it did before."""

import pytest
from kombu.transport import _transport_cache, get_transport_cls
from kombu.transport import redis as kombu_redis

from worker.celery import transport


@pytest.mark.parametrize(
    ("scheme", "ours"),
    [
        ("redis", transport.HardenedTransport),
        ("rediss", transport.HardenedTransport),
        ("sentinel", transport.HardenedSentinelTransport),
    ],
)
def test_who_has_connected_before_uses_it_too(
    scheme: str, ours: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_transport_cache, scheme, kombu_redis.Transport)

    transport.install()

    assert get_transport_cls(scheme) is ours
