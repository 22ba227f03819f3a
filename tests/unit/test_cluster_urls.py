"""A Redis URL that names nodes of a cluster, the keys there, and the node that holds them."""

import ssl
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from models.events.stream_contract import STREAM
from models.settings.errors import describe_errors
from models.settings.redis_address import (
    cluster_address,
    redis_address,
    redis_database,
    redis_host,
    redis_tls,
)
from models.settings.redis_cluster import Place, StreamNodes, slot_of
from models.settings.settings import Settings
from tests.support.plain_settings import plain_settings
from worker.process.stream_keys import KEYS, StreamKeys

URL = "redis+cluster://user:p%40ss@n1:7000,n2,[fd00::1]:7002"
BROKER = "redis://broker:6379/0"


def test_its_parts_are_read() -> None:
    address = cluster_address(redis_address(URL))

    assert address is not None
    assert address.nodes == (("n1", 7000), ("n2", 6379), ("fd00::1", 7002))
    assert address.login == {"username": "user", "password": "p@ss"}
    assert address.tls is None
    assert redis_host(URL) == "n1:7000,n2:6379,[fd00::1]:7002"
    assert redis_database(URL) == (redis_host(URL), "0")


@pytest.mark.parametrize(
    "url", ["redis+cluster://n1", "redis+cluster://n1/", " REDIS+CLUSTER://n1:6379/0\n"]
)
def test_the_only_database_may_be_named(url: str) -> None:
    address = cluster_address(redis_address(url))

    assert address is not None
    assert address.nodes == (("n1", 6379),)


def test_with_tls_every_node_is_verified() -> None:
    tls = redis_tls("rediss+cluster://n1/?ssl_ca_certs=/ca.pem")

    assert tls is not None
    assert tls.options() == {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        "ssl_check_hostname": True,
        "ssl_ca_certs": "/ca.pem",
    }


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("redis+cluster://", "the nodes of a Redis URL are names or addresses"),
        ("redis+cluster://n1:70000", "each with its port"),
        ("redis+cluster://n1,n1:6379", "names each node once"),
        ("redis+cluster://n1/1", "has no numbered databases"),
        ("redis+cluster://n1/mymaster/0", "has no numbered databases"),
        ("redis+cluster://user:hidden/@n1", "the nodes of a Redis URL are names or addresses"),
        ("redis+cluster://user:hidden@x@n1", "percent-encoded"),
        ("redis+cluster://n1?ssl_ca_certs=/ca.pem", "ssl_ options need rediss://"),
        ("rediss+cluster://n1?ssl_cert_reqs=none", "must be required"),
        ("rediss+cluster://n1?sentinel_password=hidden", "takes these options"),
    ],
)
def test_what_is_wrong_is_said_without_the_url(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refusal:
        redis_address(url)

    assert "hidden" not in str(refusal.value)


@pytest.mark.parametrize(
    "given", [{"redis_url": URL}, {"redis_url": BROKER, "broker_url": "redis+cluster://n1"}]
)
def test_the_broker_cannot_be_a_cluster(given: Mapping[str, str]) -> None:
    with pytest.raises(ValidationError) as refusal:
        plain_settings(**given)

    (problem,) = describe_errors(refusal.value, described=Settings)
    assert "SLIPWAY_BROKER_URL must be set to a Redis or Valkey that is no cluster" in problem
    assert "p%40ss" not in problem


@pytest.mark.parametrize("name", ["", "ticket events", "{a}:b", "tickets", "x" * 65])
def test_a_stream_s_name_is_checked(name: str) -> None:
    with pytest.raises(ValidationError, match="as the key of a stream"):
        plain_settings(stream=name)


def test_all_keys_of_a_cluster_lie_in_one_slot_and_all_others_stay_as_they_were() -> None:
    """Redis hashes what stands between the braces, and a key without braces as a whole."""
    on_cluster = StreamKeys.of(plain_settings(redis_url=URL, broker_url=BROKER))

    assert (on_cluster.stream, on_cluster.queue) == (STREAM, ())
    assert on_cluster.moments == "{ticket-events}:moments"
    assert on_cluster.finished == "{ticket-events}:finished"
    assert StreamKeys.of(plain_settings()) == KEYS
    assert (KEYS.stream, KEYS.moments, KEYS.finished, KEYS.former_moments) == (
        "ticket-events",
        "ticket-events:moments",
        "ticket-events:finished",
        "ticket-events:emptied",
    )
    assert KEYS.queue[0] == "tickets"


class AnsweringNodes:
    """Nodes that name a holder of every slot, or do not answer; counts whom it asks."""

    def __init__(self, answers: Mapping[str, bytes | None]) -> None:
        self.answers = dict(answers)
        self.visited: list[str] = []

    def __call__(self, place: Place) -> Any:  # noqa: ANN401 - a reply of Redis
        self.visited.append(place[0])
        if place[0] not in self.answers:
            return None
        return [[0, 16383, [self.answers[place[0]], 7000, b"id"], [b"replica", 7001, b"id"]]]


def nodes_of(url: str) -> StreamNodes:
    address = cluster_address(url)
    assert address is not None
    return StreamNodes(address, stream=STREAM)


def test_the_slot_is_that_of_redis_itself() -> None:
    """Numbers of CLUSTER KEYSLOT of a Redis 7."""
    assert (slot_of("ticket-events"), slot_of("123456789")) == (16032, 12739)


def test_a_node_that_is_down_is_asked_last_from_then_on() -> None:
    nodes, ask = nodes_of("redis+cluster://down,up"), AnsweringNodes({"up": b"holder"})

    assert [nodes.find(ask), nodes.find(ask)] == [("holder", 7000)] * 2
    assert ask.visited == ["down", "up", "up"]


def test_after_a_wrong_answer_another_node_is_asked() -> None:
    nodes = nodes_of("redis+cluster://stale,fresh")
    ask = AnsweringNodes({"stale": b"former", "fresh": b"holder"})

    assert nodes.find(ask) == ("former", 7000)
    nodes.suspect()
    assert nodes.find(ask) == ("holder", 7000)


@pytest.mark.parametrize("name", [None, b"", b"?"])
def test_a_node_that_does_not_know_its_address_means_the_one_it_was_asked_at(
    name: bytes | None,
) -> None:
    assert nodes_of("redis+cluster://n1:7000").find(AnsweringNodes({"n1": name})) == ("n1", 7000)


def test_without_an_answer_there_is_none() -> None:
    nodes = nodes_of("redis+cluster://n1,n2")

    assert nodes.find(AnsweringNodes({})) is None
    assert nodes.find(lambda _: [[0, 5, [b"other", 7000, b"id"]]]) is None
