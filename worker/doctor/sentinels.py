"""Checks the sentinels of a Redis URL: whether they answer, know the primary, and agree on it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from models.settings.listening import host_and_port
from models.settings.redis_address import SentinelAddress
from models.settings.redis_tls import tls_failure
from worker.doctor.finding import Finding, doubtful, ok, wrong
from worker.process.redis_client import sentinel_options

_WAIT: Final = timedelta(seconds=2)
_ENOUGH: Final = 3  # of two, one that is down leaves no majority


def check_sentinels(address: SentinelAddress, *, part: str, variable: str) -> Iterator[Finding]:
    """Ask each sentinel for the primary. Every wait ends after two seconds."""
    name = f"{part} sentinels"
    primaries, silent = Counter[str](), list[str]()
    for host, port in address.sentinels:
        shown = host_and_port(host, port)
        try:
            with Redis(host=host, port=port, **sentinel_options(address, wait=_WAIT)) as sentinel:
                state: Mapping[str, Any] = sentinel.sentinel_master(address.primary)
        except ResponseError as error:
            silent.append(f"{shown} refuses the question ({_line(error)})")
        except RedisError as error:
            silent.append(f"{shown} cannot be reached ({tls_failure(error) or _line(error)})")
        else:
            primaries[host_and_port(state["ip"], state["port"])] += 1
    yield from _judged(address, primaries, silent, name=name, variable=variable)


def _judged(
    address: SentinelAddress,
    primaries: Counter[str],
    silent: list[str],
    *,
    name: str,
    variable: str,
) -> Iterator[Finding]:
    total, answers = len(address.sentinels), primaries.total()
    if not primaries:
        yield wrong(
            name,
            f"none of {total} names the primary {address.primary}: {'; '.join(silent)}",
            remedy=f"start the sentinels, or correct hosts, ports, the primary's name or"
            f" sentinel_password in {variable}",
        )
    elif len(primaries) > 1:
        named = ", ".join(f"{primary} ({count})" for primary, count in primaries.most_common())
        yield doubtful(
            name,
            f"they name different primaries: {named}",
            remedy="a failover may be going on: ask again in a minute; if it stays so, SENTINEL"
            " RESET on those that are behind",
        )
    elif silent:
        yield doubtful(
            name,
            f"{answers} of {total} name the primary {next(iter(primaries))}; {'; '.join(silent)}",
            remedy="bring the others back: without a majority there is no failover",
        )
    elif total < _ENOUGH:
        yield doubtful(
            name,
            f"{variable} names {total}: while they are down, the primary is not found",
            remedy=f"run {_ENOUGH} on machines of their own, and name all of them",
        )
    else:
        yield ok(name, f"{total} of {total} name the primary {next(iter(primaries))}")


def _line(error: RedisError) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
