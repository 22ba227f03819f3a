"""The settings of all processes: one frozen object, read once from the `SLIPWAY_*` environment.

The text under each field is its documentation; `models/SETTINGS.md` is made from it
(`python -m models.settings.table`). To add a setting is to add a field here.
"""

import os
from datetime import timedelta
from functools import cache
from typing import Annotated, Any, Final, Self

from annotated_types import Ge, Le
from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from models.settings.errors import (
    PREFIX,
    InvalidSettings,
    describe_errors,
    unknown_variables,
    variable_name,
)
from models.settings.types import (
    DatabaseUrl,
    FernetKeys,
    LogFormat,
    LogLevel,
    MillisecondsOrOff,
    Networks,
    Port,
    PositiveDuration,
    RedisUrl,
    Schedule,
    shorter_than,
)

_REDIS_READ_MAX: Final = timedelta(seconds=5)  # redis-py's socket timeout
_SHORTER: Final = (
    ("partner_grace", "lease_margin", "else no call could start within its lease"),
    ("parking_window", "event_age_max", "else an event could be too old when its turn comes"),
    ("event_age_max", "retention", "else an event could revive a ticket that was removed"),
    ("retry_limit", "retention", "else a notice could outlive the ticket it speaks of"),
    ("discard_interval", "retry_limit", "else a discard would be tried once"),
)


class Settings(BaseSettings):
    """Everything that can be set. Processes call `read_settings()`; tests may construct it."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,  # compose files hand on unset variables as empty ones
        frozen=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,  # an input may be a key, or an address with a password
    )

    database_url: DatabaseUrl = Field(repr=False)
    """PostgreSQL 15 or later, which holds the truth: `postgresql://user:password@host:5432/name`.
    It names the server itself, not a connection pooler; the database's encoding is UTF8. Of several
    hosts (`a:5432,b:5432`) the one that takes writes is used. Parameters are libpq's, but for those
    that Slipway sets itself; `options` may set `search_path`."""

    redis_url: RedisUrl = Field(repr=False)
    """Redis 7.0 or Valkey 8 or later, which holds the stream: `redis://host:6379/0`, `rediss://`
    for TLS, which verifies certificate and host name. An authority of your own:
    `?ssl_ca_certs=FILE` (or `ssl_ca_path`); a client certificate: `ssl_certfile`, `ssl_keyfile`,
    `ssl_password`; to verify less, `ssl_check_hostname=false`, or nothing: `ssl_cert_reqs=none`.
    One endpoint that follows the primary: no Sentinel, no Cluster."""

    broker_url: RedisUrl = Field(
        default_factory=lambda known: str(known["redis_url"]),
        repr=False,
        json_schema_extra={"shown_default": "the Redis URL"},
    )
    """The Redis of Celery's own queues, which carry nothing but hints. Apart from the stream's only
    if you want to keep the load apart."""

    secret_key: FernetKeys
    """Seals the partners' secrets in the database: one or more Fernet keys, separated by commas.
    The first one seals, every one opens; a new key goes in front, and an old one leaves when
    nothing it sealed is left."""

    bind_address: str = "127.0.0.1"
    """The address on which the gateway, Flower and the metrics listen. This machine alone, unless
    you say `0.0.0.0`, as a container must."""

    gateway_port: Port = 8000
    """Port of the HTTP gateway; 0 takes any free one."""

    flower_port: Port = 5555
    """Port of Flower; 0 takes any free one."""

    metrics_port: Port = 0
    """Port of each process' own metrics; 0, any free one, so that several processes fit on one
    machine. In a pod of its own each may have the same fixed port."""

    log_level: LogLevel = "info"
    """The least that is logged: `debug`, `info`, `warning` or `error`."""

    log_format: LogFormat = "auto"
    """`json`: one object a line; `text`: for people; `auto`: text on a terminal, else JSON."""

    chunk_size: Annotated[int, Ge(1), Le(5000)] = 500
    """Events read from the stream and applied in one transaction. More gains little speed and holds
    the tickets' locks longer."""

    intake_block: Annotated[PositiveDuration, shorter_than(_REDIS_READ_MAX)] = timedelta(seconds=1)
    """How long the intake waits in one read for a first event: also the longest it takes to notice
    that it shall stop. Shorter than Redis' socket timeout of 5 s."""

    claim_idle: PositiveDuration = timedelta(seconds=30)
    """An intake takes over entries that another one read and did not finish for this long. Longer
    than a chunk can take; if it is not, work is done twice and counts once."""

    waitaof: MillisecondsOrOff = Field(default=None, json_schema_extra={"shown_default": "off"})
    """Milliseconds a publisher waits for its events to be on Redis' disk before it calls them
    accepted (`WAITAOF`: Redis 7.2 or Valkey, with `appendonly yes`; on any other nothing is
    published). `off`: a power cut of Redis may lose the last second."""

    event_age_max: PositiveDuration = timedelta(days=30)
    """An event that happened longer ago is rejected. Shorter than the retention, or a replay could
    bring a removed ticket back to life and pay it again."""

    parking_window: PositiveDuration = timedelta(minutes=15)
    """How long an event that does not fit its ticket yet waits for the one that makes it fit. Then
    it is decided once more, and rejected if it still does not fit."""

    hint_interval: PositiveDuration = timedelta(milliseconds=5)
    """The least time between two hints to the deliverers: enough for one batch to gather, too short
    to be felt."""

    partner_timeout: PositiveDuration = timedelta(seconds=5)
    """Total time for one call to a partner, from connecting to the last byte of the answer."""

    partner_connect_timeout: PositiveDuration = timedelta(seconds=3)
    """The part of it that connecting may take, TLS included; never more than the whole."""

    partner_grace: PositiveDuration = timedelta(seconds=10)
    """After a call without an answer nothing is sent on that ticket for this long, because the
    partner may still be working on it."""

    partner_networks: Networks = Field(default=(), json_schema_extra={"shown_default": "none"})
    """Private networks in which partners may live, separated by commas: `127.0.0.0/8,10.0.0.0/8`.
    Any other private or local address is refused, so that no partner's URL reaches our own servers.
    """

    lease_margin: PositiveDuration = timedelta(seconds=20)
    """A deliverer owns what it claimed for the partner timeout and this long. A call starts only
    while the timeout and the grace are left, so the margin must be longer than the grace."""

    in_flight_max: Annotated[int, Ge(1), Le(1000)] = 512
    """Calls one delivery process has open at once; it claims no more than it can start. What each
    partner bears stands with the partner (`slipway operators set --in-flight`)."""

    answer_bytes_max: Annotated[int, Ge(1024)] = 64 * 1024
    """Bytes read of a partner's answer; the rest is left unread."""

    retry_schedule: Schedule = Field(
        default=tuple(timedelta(seconds=s) for s in (10, 30, 120, 600, 1800, 3600, 7200)),
        json_schema_extra={"shown_default": "10s,30s,2m,10m,30m,1h,2h"},
    )
    """Pauses between the tries of one notice, separated by commas; the last one repeats."""

    retry_jitter: Annotated[float, Ge(0), Le(1)] = 0.2
    """The largest part of a pause that chance adds to it, so that notices which failed together do
    not return together. It only adds: a pause never gets shorter."""

    retry_limit: PositiveDuration = timedelta(hours=48)
    """A notice is dead, and waits for a person, once its pauses add up to this. Time counts only as
    far as a pause was meant to last: not while its operator is disabled or its circuit open, nor
    while nobody delivers."""

    discard_interval: PositiveDuration = timedelta(minutes=30)
    """Pause between the tries of `ticket_discard`, whatever the partner answers (the contract's
    own)."""

    create_age_max: PositiveDuration = timedelta(seconds=60)
    """A create or reserve that could not be sent for this long is not sent any more: the ticket is
    cancelled and discarded. The player has gone."""

    signature_window: PositiveDuration = timedelta(seconds=300)
    """How far the timestamp of a signed request may be from our clock, before or after."""

    sweep_interval: PositiveDuration = timedelta(seconds=1)
    """Pause between the rounds of the sweep: how late a close may be when there is nothing else to
    do."""

    sweep_batch: Annotated[int, Ge(1), Le(10000)] = 500
    """Tickets the sweep closes in one transaction; a full batch is followed by the next at once."""

    survey_interval: PositiveDuration = timedelta(seconds=15)
    """Pause between two looks at what Prometheus is shown of PostgreSQL and Redis. Scrapes ask
    neither."""

    retention: PositiveDuration = timedelta(days=90)
    """Closed and cancelled tickets are kept this long, with their events and notices, and so are
    the rejected events of a ticket that nothing opened; unfinished tickets always."""

    @property
    def lease(self) -> timedelta:
        """How long a claimed notice belongs to its deliverer (design: timeout plus 20 s)."""
        return self.partner_timeout + self.lease_margin

    @property
    def call_needs(self) -> timedelta:
        """What must be left of a lease for a call to start (protocol.md rule 14)."""
        return self.partner_timeout + self.partner_grace

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Refuse values that are each fine and together are not."""
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
        ports = [port for port in (self.gateway_port, self.flower_port, self.metrics_port) if port]
        if len(ports) != len(set(ports)):
            names = " and ".join(
                map(variable_name, ("gateway_port", "flower_port", "metrics_port"))
            )
            problems.append(f"{names} must differ, or be 0")
        if problems:
            raise ValueError("\n".join(problems))
        return self


class _EventAge(BaseSettings):
    """The one setting that a check of events without any server needs."""

    model_config = Settings.model_config

    event_age_max: PositiveDuration = Settings.model_fields["event_age_max"].default


def read_event_age_max() -> timedelta:
    """Read this setting alone, where no other need be there. Raises InvalidSettings."""
    try:
        return _EventAge().event_age_max
    except ValidationError as error:
        problems = describe_errors(error, described=Settings.model_fields)
    raise InvalidSettings(problems)  # outside the except, as below


@cache
def read_settings() -> Settings:
    """Read the environment, the first time only.

    Raises InvalidSettings, which lists all problems at once, when a variable is missing, cannot be
    used, contradicts another, or begins with `SLIPWAY_` and is not known.
    """
    problems = unknown_variables(os.environ, known=Settings.model_fields)
    from_environment: dict[str, Any] = {}  # nothing given: each field looks for its variable
    try:
        settings = Settings(**from_environment)
    except ValidationError as error:
        problems += describe_errors(error, described=Settings.model_fields)
    else:
        if not problems:
            return settings
    raise InvalidSettings(problems)  # outside the except: what it caught holds the values
