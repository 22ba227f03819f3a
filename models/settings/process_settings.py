"""The settings that every process reads which Celery or a web server runs, beat and Flower too."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Final, Self

from annotated_types import Ge, Le
from pydantic import Field, model_validator
from pydantic_settings import BaseSettings

from models.events.stream_contract import STREAM
from models.settings.errors import variable_name
from models.settings.listening import BindAddress
from models.settings.reading import CONFIG
from models.settings.redis_address import cluster_address
from models.settings.redis_cluster import BROKER_NEEDED
from models.settings.types import LogFormat, LogLevel, Port, PositiveDuration, RedisUrl, StreamName

_PORTS: Final = ("gateway_port", "flower_port", "console_port", "metrics_port")


class ProcessSettings(BaseSettings):
    """What beat and Flower need, and every other process too: Redis, addresses, the log.

    A part of `models.settings.settings.Settings`.
    """

    model_config = CONFIG

    redis_url: RedisUrl = Field(repr=False)
    """Redis 7.0 or Valkey 8 or later, which holds the stream: `redis://host:6379/0`, or `rediss://`
    for TLS, which verifies certificate and host name. An authority of your own, besides the
    system's: `?ssl_ca_certs=FILE` (a folder: `ssl_ca_path`); a client certificate: `ssl_certfile`,
    `ssl_keyfile`, `ssl_password`. New connections read the files (PEM). Behind Sentinel:
    `redis+sentinel://user:password@s1:26379,s2:26379,s3:26379/NAME/0` (`rediss+sentinel://`), and
    for the sentinels' own login `?sentinel_password=…` (and `sentinel_user`). On a Redis Cluster
    some of its nodes: `redis+cluster://user:password@n1:6379,n2:6379` (`rediss+cluster://`)."""

    broker_url: RedisUrl = Field(
        default_factory=lambda known: str(known["redis_url"]),
        repr=False,
        json_schema_extra={"shown_default": "the Redis URL"},
    )
    """The Redis of Celery's own queues, which carry only wakeups. Set it to keep their load away
    from the stream's Redis, or if that is a cluster: they cannot live on one."""

    stream: StreamName = STREAM
    """The key of the stream, beside which Slipway keeps keys of its own. Publishers and KEDA must
    know it, too. Another one is for several installations on one Redis Cluster, which has no
    numbered databases. Let the intake empty the stream first: what is left there stays there."""

    bind_address: BindAddress = "127.0.0.1"
    """The address on which the gateway, the console, Flower and the metrics listen. This machine
    alone, unless it is set to `0.0.0.0`, as a container needs, or in a cluster of IPv6 to `::` (of
    which only the metrics take IPv4, too)."""

    gateway_port: Port = 8000
    """Port of the HTTP gateway; 0 means any free port."""

    flower_port: Port = 5555
    """Port of Flower; 0 means any free port."""

    console_port: Port = 8080
    """Port of the console, the web pages for support and operations; 0 means any free port."""

    metrics_port: Port = 0
    """Port of each process' own metrics; 0 means any free port, so that several processes can run
    on one machine. In pods of their own all may have the same fixed port."""

    keep_alive_seconds: Annotated[int, Ge(1), Le(3600)] = 75
    """How long the gateway and the console keep an idle connection open, in whole seconds. A load
    balancer or proxy in front must close its own sooner, or some requests end with 502: nginx and
    AWS do by default (60 s); for Google's (600 s) set 620."""

    log_level: LogLevel = "info"
    """The lowest level that is logged: `debug`, `info`, `warning` or `error`."""

    log_format: LogFormat = "auto"
    """`json`: one object per line; `text`: for people; `auto`: text on a terminal, else JSON."""

    sweep_interval: PositiveDuration = timedelta(seconds=1)
    """Pause between the rounds of the sweep: how late a closing may be when there is nothing else
    to do."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Refuse values that are each valid but contradict each other."""
        if problems := list(self.contradictions()):
            raise ValueError("\n".join(problems))
        return self

    def contradictions(self) -> Iterator[str]:
        """Yield what is wrong with values that are each valid."""
        ports = [port for name in _PORTS if (port := getattr(self, name))]
        if len(ports) != len(set(ports)):
            yield f"{' and '.join(map(variable_name, _PORTS))} must differ, or be 0"
        if cluster_address(self.broker_url) is not None:
            yield BROKER_NEEDED
