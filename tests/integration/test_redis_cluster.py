"""Every process with its stream on a real cluster: found, followed when it moves, nothing lost."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from itertools import takewhile
from pathlib import Path

import pytest
from kombu.exceptions import OperationalError
from redis import Redis
from sqlalchemy import Engine

from models.events.stream_contract import STREAM
from models.settings.settings import Settings
from producers.gateway.stream import GatewayStream
from producers.publisher import Publisher, PublishLater, SetupRefused
from producers.simulation.partner import SimulatedPartner
from tests.support.authority import Authority
from tests.support.celery_process import environment
from tests.support.delivery_setup import KEY, SECRET, delivery_setup_on
from tests.support.manual_clock import ManualClock
from tests.support.plain_settings import plain_settings
from tests.support.procfile_processes import Running
from tests.support.publishing_load import Load, event, running, tickets_of
from tests.support.redis_clients import by_celery
from tests.support.redis_nodes import PASSWORD, Nodes, redis_nodes
from tests.support.wait import eventually
from worker.cli.errors import WRONG_USAGE
from worker.doctor.checks import check_installation
from worker.doctor.finding import Finding, State
from worker.local.servers.ports import LOOPBACK, free_port
from worker.process.cluster_client import UnusableRedis
from worker.process.redis_client import open_redis, require_usable_redis

PROCESSES = ("intake", "deliver", "sweep", "beat", "flower", "gateway")
NO_BROKER = "redis://127.0.0.1:1/0"  # nothing listens there


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with redis_nodes(tmp_path_factory.mktemp("nodes")) as running_nodes:
        yield running_nodes


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    folder = tmp_path_factory.mktemp("encrypted")
    with redis_nodes(folder, authority=Authority("ours")) as running_nodes:
        yield running_nodes


def settings_for(url: str) -> Settings:
    return plain_settings(redis_url=url, broker_url=NO_BROKER)


def by_our_client(url: str) -> object:
    with open_redis(settings_for(url).redis_url, retries=0, name="test") as client:
        return client.xlen(STREAM) >= 0


def by_publisher(url: str) -> object:
    with closing(Publisher.at(url)) as publisher:
        return publisher.publish_many([event(f"t-{number}") for number in range(3)])


def by_publisher_to_disk(url: str) -> object:
    with closing(Publisher.at(url, waitaof_ms=4000)) as publisher:
        return publisher.publish_many([event(f"t-{number}") for number in range(3)])


def by_gateway(url: str) -> object:
    with closing(GatewayStream.at(settings_for(url))) as stream:
        return stream.fault() is None


CLIENTS: dict[str, Callable[[str], object]] = {
    "our client": by_our_client,
    "publisher": by_publisher,
    "gateway": by_gateway,
}


def findings(url: str, broker_url: str = NO_BROKER) -> list[Finding]:
    """What the doctor says of Redis: all that comes before the workers."""
    now = datetime.now(UTC)  # noqa: TID251 - certificates are valid by it
    checks = check_installation(plain_settings(redis_url=url, broker_url=broker_url), now=now)
    return [*takewhile(lambda finding: finding.part != "workers", checks)]


@pytest.mark.parametrize("ask", CLIENTS.values(), ids=CLIENTS)
@pytest.mark.parametrize("number", range(4))
def test_every_client_finds_the_stream_through_any_node(
    ask: Callable[[str], object], number: int, nodes: Nodes
) -> None:
    assert ask(nodes.url(ports=[nodes.ports[number]]))


def test_what_waits_for_the_disk_waits_for_that_of_its_node(nodes: Nodes) -> None:
    assert by_publisher_to_disk(nodes.url())


@pytest.mark.parametrize("ask", CLIENTS.values(), ids=CLIENTS)
def test_every_client_finds_it_over_tls(ask: Callable[[str], object], encrypted: Nodes) -> None:
    """The nodes demand a client certificate, too."""
    assert ask(encrypted.url())


@pytest.mark.parametrize("ask", CLIENTS.values(), ids=CLIENTS)
def test_a_node_that_is_down_is_passed_over(ask: Callable[[str], object], nodes: Nodes) -> None:
    assert ask(nodes.url(ports=[free_port(), nodes.ports[1]]))


def test_a_node_of_another_authority_is_told_nothing(encrypted: Nodes, tmp_path: Path) -> None:
    (tmp_path / "others.pem").write_bytes(Authority("others").pem)
    url = encrypted.url(ssl_ca_certs=str(tmp_path / "others.pem"))

    with pytest.raises(PublishLater, match=r"none of the nodes 127\.0\.0\.1:") as failure:
        by_publisher(url)

    assert PASSWORD not in str(failure.value)


# --- addresses and rights that do not fit ---


def plain(nodes: Nodes) -> str:
    return f"redis://slipway-worker:{PASSWORD}@{LOOPBACK}:{nodes.ports[1]}/0"


def limited(nodes: Nodes) -> str:
    """A user that may do everything but ask for the slots."""
    for port in nodes.ports:
        rules = ("on", f">{PASSWORD}", "~*", "&*", "+@all", "-cluster|slots")
        nodes.at(port, "ACL", "SETUSER", "limited", *rules)
    return nodes.url(user="limited")


REFUSED: Mapping[str, tuple[Callable[[Nodes, str], str], str]] = {
    "a node as if it were a server": (
        lambda nodes, _: plain(nodes),
        "is a node of a Redis Cluster: for the stream write redis+cluster://",
    ),
    "a server as if it were a node": (
        lambda _, redis_url: redis_url.replace("redis://", "redis+cluster://"),
        "is no node of a Redis Cluster: write redis://",
    ),
    "a user without CLUSTER SLOTS": (
        lambda nodes, _: limited(nodes),
        "may not use CLUSTER SLOTS at 127.0.0.1:",
    ),
}


@pytest.mark.parametrize(("make", "words"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_said_at_once_by_everyone(
    make: Callable[[Nodes, str], str], words: str, nodes: Nodes, redis_url: str
) -> None:
    url = make(nodes, redis_url)

    with pytest.raises(UnusableRedis, match=re.escape(words)) as ours:
        by_our_client(url)
    with pytest.raises(UnusableRedis, match=re.escape(words)):
        require_usable_redis(settings_for(url), name="test")
    with pytest.raises(SetupRefused, match=re.escape(words)) as publishers:
        by_publisher(url)
    with closing(GatewayStream.at(settings_for(url))) as stream:
        assert "redis+cluster:// or redis://" in (stream.fault() or "")
    (finding,) = [each for each in findings(url) if words in (each.remedy or "")]

    assert (finding.part, finding.state) == ("Redis", State.WRONG)
    assert PASSWORD not in f"{ours.value} {publishers.value} {finding}"


def test_a_publisher_s_own_client_of_a_node_is_told_so_too(nodes: Nodes) -> None:
    with (
        nodes.client(nodes.without_stream()) as client,
        pytest.raises(SetupRefused, match=r"redis\+cluster://"),
    ):
        Publisher(client).publish(event("t-0"))


def test_celery_s_queues_do_not_go_to_a_cluster(nodes: Nodes) -> None:
    with pytest.raises(OperationalError, match="SLIPWAY_BROKER_URL must"):
        by_celery(plain(nodes))


@pytest.mark.slow
def test_no_process_starts_with_a_node_as_its_server(
    nodes: Nodes, tmp_path: Path, database: str
) -> None:
    ports = {"gateway_port": "0", "flower_port": "0"}
    env = environment(tmp_path, database_url=database, redis_url=plain(nodes), **ports)
    with running(PROCESSES, tmp_path, env) as started:
        for process in started:
            eventually(partial(says_what_to_set, process))
        codes = [process.code() for process in started]

        assert 0 not in codes
        assert PASSWORD not in "".join(process.wrote() for process in started)


def test_slipway_up_starts_nothing_there(nodes: Nodes, tmp_path: Path, database: str) -> None:
    """Its supervisor would start processes again and again that end at once."""
    ports = {"gateway_port": "0", "flower_port": "0", "console_port": "0"}
    env = environment(tmp_path, database_url=database, redis_url=plain(nodes), **ports)
    command = [str(Path(sys.executable).with_name("slipway")), "up"]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    assert ended.returncode == WRONG_USAGE
    assert "write redis+cluster://" in ended.stderr
    assert "release" not in ended.stdout


def says_what_to_set(process: Running) -> bool:
    wrote = process.wrote()
    return "write redis+cluster://" in wrote and "SLIPWAY_BROKER_URL must" in wrote


# --- the doctor ---


def test_the_doctor_knows_the_node_with_the_stream(nodes: Nodes, redis_url: str) -> None:
    eventually(nodes.replica)
    every = findings(nodes.url(), redis_url)

    (cluster,) = [each for each in every if each.part == "Redis cluster"]
    assert cluster.state is State.OK
    assert cluster.detail == f"4 of 4 name 127.0.0.1:{nodes.holder()} as the node with the stream"
    states = {each.part: each.state for each in every}
    assert {states[part] for part in ("Redis", "Redis rights", "keys", "publishing")} == {State.OK}


DOUBTFUL: Mapping[str, tuple[Callable[[Nodes], str], str]] = {
    "one is down": (
        lambda nodes: nodes.url(ports=[free_port(), *nodes.ports[:2]]),
        "2 of 3 name 127.0.0.1:",
    ),
    "one is named": (lambda nodes: nodes.url(ports=nodes.ports[:1]), "names one node"),
}


@pytest.mark.parametrize(("make", "words"), DOUBTFUL.values(), ids=DOUBTFUL)
def test_the_doctor_doubts(make: Callable[[Nodes], str], words: str, nodes: Nodes) -> None:
    (finding,) = [each for each in findings(make(nodes)) if each.part == "Redis cluster"]

    assert finding.state is State.DOUBTFUL
    assert words in finding.detail


def test_the_doctor_says_which_node_does_not_answer(nodes: Nodes) -> None:
    port = free_port()
    (finding,) = [
        each for each in findings(nodes.url(ports=[port])) if each.part == "Redis cluster"
    ]

    assert finding.state is State.WRONG
    assert f"127.0.0.1:{port} cannot be reached" in finding.detail


# --- all processes, while the stream moves under load ---


def move_about(nodes: Nodes, load: Load) -> None:
    """Two failovers, a move to another node and back, and a killed node."""
    nodes.promote()  # away, …
    load.goes_on()
    nodes.promote()  # … and back
    load.goes_on()
    with_replica = nodes.holder()
    nodes.move_stream(nodes.without_stream())
    load.goes_on()
    nodes.move_stream(with_replica)
    nodes.kill_holder()
    load.goes_on()


@pytest.mark.slow
def test_every_process_follows_the_stream_and_nothing_is_lost(
    tmp_path: Path, database: str, engine: Engine, redis: Redis, redis_url: str
) -> None:
    name = "acme:events"
    with (
        redis_nodes(tmp_path, stream=name) as nodes,
        SimulatedPartner(secret=SECRET) as partner,
        delivery_setup_on(engine, ManualClock()) as delivery,
    ):
        delivery.operator("acme", partner.url)
        env = environment(
            tmp_path,
            database_url=database,
            redis_url=nodes.url(),
            broker_url=redis_url,
            stream=name,
            secret_key=KEY,
            partner_networks="127.0.0.0/8",
            gateway_port="0",
            flower_port="0",
        )
        with running(PROCESSES, tmp_path, env) as started:
            with Load(lambda: Publisher.at(nodes.url(), stream=name)) as load:
                load.goes_on()
                eventually(lambda: len(partner.ledger.entries()) > 0)
                move_about(nodes, load)

            def all_told() -> bool:
                for process in started:
                    process.must_live()
                return tickets_of(partner) >= load.acknowledged

            eventually(all_told)
            eventually(lambda: nodes.at(nodes.holder(), "XLEN", name) == 0)
            kept = nodes.keys()
            wrote = "".join(process.wrote() for process in started)
            for process in started:
                process.tell_to_end()
            codes = [process.code() for process in started]

        assert tickets_of(partner) == load.acknowledged
    assert kept == {name, f"{{{name}}}:moments", f"{{{name}}}:finished"}
    assert codes == [-signal.SIGTERM if name == "gateway" else 0 for name in PROCESSES]
    assert PASSWORD not in wrote
    assert not redis.exists(STREAM)
