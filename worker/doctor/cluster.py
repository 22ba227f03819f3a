"""Checks the nodes of a cluster's URL: whether they answer, and agree where the stream is."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError

from models.settings.listening import host_and_port
from models.settings.redis_cluster import ClusterAddress, Place, StreamNodes
from models.settings.redis_tls import tls_failure
from worker.doctor.finding import Finding, doubtful, ok, wrong
from worker.process.cluster_client import UnusableRedis, ask_slots, node_options
from worker.process.stream_keys import StreamKeys

_WAIT_SECONDS: Final = 2.0
_ENOUGH: Final = 2  # with one, nothing is found while it is down


def check_cluster(
    address: ClusterAddress, *, part: str, variable: str, keys: StreamKeys
) -> Iterator[Finding]:
    """Ask each node for the one that holds the stream. Every wait ends after two seconds."""
    name = f"{part} cluster"
    options = node_options(address, ask_seconds=_WAIT_SECONDS)
    holders, silent, unknowing = Counter[Place](), list[str](), list[str]()
    for node in address.nodes:
        try:
            reply = ask_slots(node, options)
        except UnusableRedis:  # the connection to the stream says the same, and what to set
            return
        except RedisError as error:
            silent.append(
                f"{host_and_port(*node)} cannot be reached ({tls_failure(error) or _line(error)})"
            )
            continue
        holder = StreamNodes(address, stream=keys.stream).find_in(reply, source=node)
        if holder is None:
            unknowing.append(host_and_port(*node))
        else:
            holders[holder] += 1
    if unknowing or not holders:
        lost = f"{', '.join(unknowing)}: no node holds the slot of the key {keys.stream}"
        yield wrong(
            name,
            "; ".join([*silent, *([lost] if unknowing else [])]),
            remedy=f"start the nodes, correct hosts and ports in {variable}, or give the cluster"
            " all its slots (valkey-cli --cluster fix)",
        )
        return
    yield from _judged(holders, silent, name=name, variable=variable, total=len(address.nodes))
    yield from _replicas(holders.most_common(1)[0][0], options, name=name)


def _judged(
    holders: Counter[Place], silent: list[str], *, name: str, variable: str, total: int
) -> Iterator[Finding]:
    named = ", ".join(host_and_port(*holder) for holder, _ in holders.most_common())
    if len(holders) > 1:
        yield doubtful(
            name,
            f"its nodes name different ones with the stream: {named}",
            remedy="a failover or a move of slots may be going on: ask again in a minute",
        )
    elif silent:
        yield doubtful(
            name,
            f"{holders.total()} of {total} name {named} as the node with the stream;"
            f" {'; '.join(silent)}",
            remedy=f"bring the others back, or take them out of {variable}",
        )
    elif total < _ENOUGH:
        yield doubtful(
            name,
            f"{variable} names one node: while it is down, the stream is not found",
            remedy="name three of its nodes",
        )
    else:
        yield ok(name, f"{total} of {total} name {named} as the node with the stream")


def _replicas(holder: Place, options: dict[str, Any], *, name: str) -> Iterator[Finding]:
    try:
        with Redis(host=holder[0], port=holder[1], **options) as node:
            facts: Any = node.info("replication")
    except RedisError:  # the checks of the stream say why
        return
    if not facts.get("connected_slaves"):
        yield doubtful(
            name,
            f"{host_and_port(*holder)} has no replica: while it is down, no event is accepted",
            remedy="give each node of the cluster a replica",
        )


def _line(error: RedisError) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
