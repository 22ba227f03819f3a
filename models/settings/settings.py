"""The settings of all processes: one frozen object, read once from the `SLIPWAY_*` environment.

The text under each field is its documentation; `models/SETTINGS.md` is generated from it by
`python -m models.settings.table`. To add a setting, add a field here, or in `console_settings` if
only the console reads it.
"""

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Self

from annotated_types import Ge, Le
from pydantic import Field, ValidationError, model_validator
from pydantic_settings import SettingsConfigDict

from models.settings.console_settings import ConsoleSettings
from models.settings.database_files import database_files_problems
from models.settings.egress import DirectHosts
from models.settings.errors import (
    PREFIX,
    InvalidSettings,
    describe_errors,
    unknown_variables,
    variable_name,
)
from models.settings.redis_address import redis_files_problems
from models.settings.types import (
    Contact,
    DatabaseUrl,
    Durability,
    FernetKeys,
    LogFormat,
    LogLevel,
    MillisecondsOrOff,
    Networks,
    NoProxy,
    Port,
    PositiveDuration,
    ProxyUrl,
    RedisUrl,
    Schedule,
    shorter_than,
)

_REDIS_READ_MAX: Final = timedelta(seconds=5)  # redis-py's socket timeout
_DATABASE_URLS: Final = ("database_url", "migration_database_url")
_REDIS_URLS: Final = ("redis_url", "broker_url")
_PORTS: Final = ("gateway_port", "flower_port", "console_port", "metrics_port")
_SHORTER: Final = (
    ("partner_grace", "lease_margin", "else no call could start within its lease"),
    ("parking_window", "event_age_max", "else an event could be too old when it is decided"),
    ("event_age_max", "retention", "else an event could revive a ticket that was removed"),
    ("retry_limit", "retention", "else a notice could outlive its ticket"),
    ("console_session_idle", "console_session_max", "else it would never end a session"),
    ("discard_interval", "retry_limit", "else a discard would be tried only once"),
)


class Settings(ConsoleSettings):
    """Everything that can be set. Processes call `read_settings()`; tests may construct it."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,  # compose files pass unset variables as empty ones
        frozen=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,  # an input may be a key, or an address with a password
    )

    database_url: DatabaseUrl = Field(repr=False)
    """PostgreSQL 15 or later, which holds all state: `postgresql://user:password@host:5432/name`,
    or a PgBouncer in transaction mode; in UTF8. Of several hosts (`a:5432,b:5432`) each new
    connection takes the one that accepts writes (`target_session_attrs=read-write`, the default).
    Over TLS, verified: `?sslmode=verify-full&sslrootcert=FILE`. Parameters are libpq's; `options`
    may set `search_path` alone."""

    migration_database_url: DatabaseUrl = Field(
        default_factory=lambda known: str(known["database_url"]),
        repr=False,
        json_schema_extra={"shown_default": "the database URL"},
    )
    """The same database for `slipway migrate`, which no pooler may stand before."""

    redis_url: RedisUrl = Field(repr=False)
    """Redis 7.0 or Valkey 8 or later, which holds the stream: `redis://host:6379/0`, or `rediss://`
    for TLS, which verifies certificate and host name. An authority of your own, besides the
    system's: `?ssl_ca_certs=FILE` (a folder: `ssl_ca_path`); a client certificate: `ssl_certfile`,
    `ssl_keyfile`, `ssl_password`. New connections read the files (PEM). Behind Sentinel:
    `redis+sentinel://user:password@s1:26379,s2:26379,s3:26379/NAME/0` (`rediss+sentinel://`), and
    for the sentinels' own login `?sentinel_password=…` (and `sentinel_user`). No Cluster."""

    broker_url: RedisUrl = Field(
        default_factory=lambda known: str(known["redis_url"]),
        repr=False,
        json_schema_extra={"shown_default": "the Redis URL"},
    )
    """The Redis of Celery's own queues, which carry only wakeups. Set it only to keep their load
    away from the stream's Redis."""

    secret_key: FernetKeys
    """Encrypts the partners' secrets in the database: one or more Fernet keys, separated by commas.
    The first one encrypts, every one decrypts. Put a new key in front, and remove an old one when
    nothing that it encrypted is left."""

    bind_address: str = "127.0.0.1"
    """The address on which the gateway, the console, Flower and the metrics listen. This machine
    alone, unless it is set to `0.0.0.0`, as a container needs."""

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

    chunk_size: Annotated[int, Ge(1), Le(5000)] = 500
    """Events read from the stream and applied in one transaction (the batch size). A larger batch
    gains little speed and holds the tickets' locks longer."""

    intake_block: Annotated[PositiveDuration, shorter_than(_REDIS_READ_MAX)] = timedelta(seconds=1)
    """How long the intake waits in one read for a first event: also the longest it takes to notice
    that it must stop. Shorter than Redis' socket timeout of 5 s."""

    claim_idle: PositiveDuration = timedelta(seconds=30)
    """An intake reclaims entries that another one read and did not finish for this long. Longer
    than a batch can take; if it is not, work is done twice and counts once."""

    waitaof: MillisecondsOrOff = Field(default=None, json_schema_extra={"shown_default": "off"})
    """Milliseconds a publisher waits for its events to be on Redis' disk before it reports them as
    accepted (`WAITAOF`: Redis 7.2 or Valkey, with `appendonly yes`; on any other nothing is
    published). `off`: if Redis loses power, the last second may be lost."""

    redis_durability: Durability = "append_only_file"
    """What keeps accepted events when Redis restarts: its own `append_only_file`, which `doctor`
    and the alert SlipwayRedisNotDurable demand, or the `provider` of a managed Redis, by means that
    Redis does not show: then both are quiet, and you have to know what the provider promises."""

    event_age_max: PositiveDuration = timedelta(days=30)
    """An event that happened longer ago is rejected. Shorter than the retention, or a replay could
    bring a removed ticket back to life and pay it again."""

    parking_window: PositiveDuration = timedelta(minutes=15)
    """How long an event that does not fit its ticket yet waits for the one that makes it fit. Then
    it is decided once more, and rejected if it still does not fit."""

    hint_interval: PositiveDuration = timedelta(milliseconds=5)
    """The least time between two wakeups of the delivery processes: long enough for a batch to
    gather, too short to be noticed."""

    partner_timeout: PositiveDuration = timedelta(seconds=5)
    """Total time for one call to a partner, from connecting to the last byte of the response. A
    partner may have a timeout of its own (`slipway operators set --timeout`); its leases follow."""

    partner_connect_timeout: PositiveDuration = timedelta(seconds=3)
    """The part of the partner timeout that connecting may take, TLS included; never more than the
    whole."""

    partner_grace: PositiveDuration = timedelta(seconds=10)
    """After a call without a response nothing is sent for that ticket for this long, because the
    partner may still be working on it."""

    partner_networks: Networks = Field(default=(), json_schema_extra={"shown_default": "none"})
    """Private networks in which partners may be, separated by commas: `127.0.0.0/8,10.0.0.0/8`.
    Any other private or local address is refused, so that no partner's URL reaches our own servers.
    """

    partner_ca_file: Path | None = None
    """A file with certificate authorities of your own (PEM), trusted in addition to the system's
    wherever a partner has no CA bundle of its own. Deliverers and the console read it when they
    start and ping."""

    partner_proxy: ProxyUrl | None = Field(
        default=None, json_schema_extra={"shown_default": "none"}
    )
    """The proxy through which partners are called (HTTP CONNECT, for http URLs, too):
    `http://proxy.example.com:3128`, `https://…` for TLS to the proxy. User and password belong
    before the host: `http://user:password@…`; the proxy gets them as Basic."""

    partner_proxy_file: Path | None = None
    """A file with that address, instead of the address itself."""

    partner_no_proxy: NoProxy = Field(
        default=DirectHosts(), json_schema_extra={"shown_default": "none"}
    )
    """Partners that are called without the proxy, separated by commas: hosts with what is below
    them (`acme.example.com`), domains without their own name (`.internal`), addresses and networks
    (`10.0.0.0/8`) that stand in a partner's URL."""

    partner_proxy_networks: Networks = Field(
        default=(), json_schema_extra={"shown_default": "none"}
    )
    """Private networks in which the proxy may be, separated by commas. A name in a partner's URL is
    resolved by the proxy, which has to refuse private addresses itself."""

    partner_contact: Contact | None = None
    """Where a partner finds who calls: a page or a mail address, sent with every call as
    `User-Agent: Slipway/<version> (+https://ops.example.com)`."""

    lease_margin: PositiveDuration = timedelta(seconds=20)
    """A delivery process owns what it claimed for the partner's timeout plus this long. A call
    starts only while the timeout and the grace are left, so the margin must be longer than the
    grace."""

    in_flight_max: Annotated[int, Ge(1), Le(1000)] = 512
    """Calls one delivery process has open at once; it claims no more than it can start. The limit
    of each partner is set with `slipway operators set --in-flight`."""

    answer_bytes_max: Annotated[int, Ge(1024)] = 64 * 1024
    """Bytes read of a partner's response; the rest is left unread."""

    retry_schedule: Schedule = Field(
        default=tuple(timedelta(seconds=s) for s in (10, 30, 120, 600, 1800, 3600, 7200)),
        json_schema_extra={"shown_default": "10s,30s,2m,10m,30m,1h,2h"},
    )
    """Pauses between the tries of one notice, separated by commas; the last one repeats. A partner
    may have its own: `slipway operators set --retry-schedule`."""

    retry_jitter: Annotated[float, Ge(0), Le(1)] = 0.2
    """The largest part of a pause that is added to it at random, so that notices which failed
    together are not retried together. A pause never gets shorter."""

    retry_limit: PositiveDuration = timedelta(hours=48)
    """A notice becomes a dead letter, and waits for a person, once its pauses add up to this. Only
    planned pauses count: not the time while its operator is disabled, its circuit is open, or no
    delivery process runs. A partner may have its own: `slipway operators set --retry-limit`."""

    discard_interval: PositiveDuration = timedelta(minutes=30)
    """Pause between the tries of `ticket_discard`, whatever the response (fixed by the
    contract)."""

    create_age_max: PositiveDuration = timedelta(seconds=60)
    """A create or reserve that could not be sent for this long is not sent any more: the ticket is
    cancelled and discarded, because the player has gone."""

    signature_window: PositiveDuration = timedelta(seconds=300)
    """How far the timestamp of a signed request may be from our clock, before or after."""

    sweep_interval: PositiveDuration = timedelta(seconds=1)
    """Pause between the rounds of the sweep: how late a closing may be when there is nothing else
    to do."""

    sweep_batch: Annotated[int, Ge(1), Le(10000)] = 500
    """Tickets the sweep closes in one transaction; a full batch is followed by the next at once."""

    survey_interval: PositiveDuration = timedelta(seconds=15)
    """Pause between two collections of the PostgreSQL and Redis stats that Prometheus gets. A
    scrape queries neither."""

    retention: PositiveDuration = timedelta(days=90)
    """Closed and cancelled tickets are kept this long, with their events and notices, and so are
    the rejected events of a ticket that nothing opened; unfinished tickets are kept always."""

    @property
    def lease(self) -> timedelta:
        """How long a claimed notice belongs to the delivery process that claimed it (rule 14)."""
        return self.partner_timeout + self.lease_margin

    @property
    def call_needs(self) -> timedelta:
        """The rest of a lease that a call needs to start (rule 14)."""
        return self.partner_timeout + self.partner_grace

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Refuse values that are each valid but contradict each other."""
        problems = [
            f"{variable_name(shorter)} must be shorter than {variable_name(longer)}: {why}"
            for shorter, longer, why in _SHORTER
            if getattr(self, shorter) >= getattr(self, longer)
        ]
        if self.retry_schedule[-1] > self.retry_limit:
            problems.append(
                f"{variable_name('retry_schedule')} must not end with a pause longer than"
                f" {variable_name('retry_limit')}"
            )
        ports = [port for name in _PORTS if (port := getattr(self, name))]
        if len(ports) != len(set(ports)):
            problems.append(f"{' and '.join(map(variable_name, _PORTS))} must differ, or be 0")
        if self.partner_proxy is not None and self.partner_proxy_file is not None:
            name = variable_name("partner_proxy")
            problems.append(f"set either {name} or {name}_FILE")
        problems += self.console_problems()
        if problems:
            raise ValueError("\n".join(problems))
        return self


@cache
def read_settings() -> Settings:
    """Read the environment, the first time only.

    Raises InvalidSettings, which lists all problems at once, when a variable, or a file that a URL
    names, is missing, cannot be used, contradicts another, or is not known.
    """
    problems = unknown_variables(os.environ, known=Settings.model_fields)
    from_environment: dict[str, Any] = {}  # nothing passed: each field reads its variable
    try:
        settings = Settings(**from_environment)
    except ValidationError as error:
        problems += describe_errors(error, described=Settings.model_fields)
    else:
        now = datetime.now(UTC)  # noqa: TID251 - processes read them when they start
        problems += database_files_problems(_named(settings, _DATABASE_URLS))
        problems += redis_files_problems(_named(settings, _REDIS_URLS), now=now)
        if not problems:
            return settings
    raise InvalidSettings(problems)  # outside the except: the caught error holds the values


def _named(settings: Settings, fields: Iterable[str]) -> dict[str, str]:
    return {variable_name(field): getattr(settings, field) for field in fields}
