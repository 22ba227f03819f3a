"""The settings of all processes: one frozen object, read once from the `SLIPWAY_*` environment.

The text under each field is its documentation; `models/SETTINGS.md` is generated from it by
`python -m models.settings.table`. To add a setting, add a field here; in `console_settings` if
only the console reads it, and in `process_settings` if beat or Flower does.

A process demands what it uses and no more, so that none has to hold a secret it has no use for
(deploy/SECRETS.md says which process needs which).
"""

from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Final

from annotated_types import Ge, Le
from pydantic import Field

from models.settings.console_settings import ConsoleSettings
from models.settings.database_settings import DatabaseSettings
from models.settings.egress import DirectHosts
from models.settings.errors import variable_name
from models.settings.process_settings import ProcessSettings
from models.settings.reading import CONFIG, read_environment
from models.settings.types import (
    Contact,
    Durability,
    FernetKeys,
    MillisecondsOrOff,
    Networks,
    NoProxy,
    PositiveDuration,
    ProxyUrl,
    Schedule,
    shorter_than,
)

_REDIS_READ_MAX: Final = timedelta(seconds=5)  # redis-py's socket timeout
_SHORTER: Final = (
    ("partner_grace", "lease_margin", "else no call could start within its lease"),
    ("parking_window", "event_age_max", "else an event could be too old when it is decided"),
    (
        "event_age_max",
        "retention",
        "else an event could open a ticket that was removed",
    ),
    ("retry_limit", "retention", "else a notice could outlive its ticket"),
    ("console_session_idle", "console_session_max", "else it would never end a session"),
    ("discard_interval", "retry_limit", "else a discard would be tried only once"),
)


class WorkerSettings(ConsoleSettings, ProcessSettings, DatabaseSettings):
    """Everything but the key that decrypts secrets."""

    model_config = CONFIG

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
    """An event that happened longer ago is rejected. Shorter than the retention: so a replay opens
    no ticket that was removed without a tombstone (rule 29)."""

    parking_window: PositiveDuration = timedelta(minutes=15)
    """How long an event that does not fit its ticket yet waits for the one that makes it fit. Then
    it is decided once more, and rejected if it still does not fit."""

    hint_interval: PositiveDuration = timedelta(milliseconds=1)
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

    def contradictions(self) -> Iterator[str]:
        """Yield what is wrong with values that are each valid."""
        for shorter, longer, why in _SHORTER:
            if getattr(self, shorter) >= getattr(self, longer):
                names = map(variable_name, (shorter, longer))
                yield f"{' must be shorter than '.join(names)}: {why}"
        if self.retry_schedule[-1] > self.retry_limit:
            yield (
                f"{variable_name('retry_schedule')} must not end with a pause longer than"
                f" {variable_name('retry_limit')}"
            )
        yield from super().contradictions()
        if self.partner_proxy is not None and self.partner_proxy_file is not None:
            name = variable_name("partner_proxy")
            yield f"set either {name} or {name}_FILE"
        yield from self.console_problems()


class Settings(WorkerSettings):
    """Everything that can be set."""

    secret_key: FernetKeys
    """Encrypts the partners' secrets in the database: one or more Fernet keys, separated by commas.
    The first one encrypts, every one decrypts. Put a new key in front, and remove an old one when
    nothing that it encrypted is left. Needed by gateway, console, deliverers and commands."""


class _SettingsOfConsole(Settings):
    """The same; what only the console needs must be set, too."""

    def contradictions(self) -> Iterator[str]:
        yield from super().contradictions()
        yield from self.secret_problems()


@cache
def read_settings() -> Settings:
    """Read the environment, the first time only, as `read_environment` says."""
    return read_environment(Settings, described=Settings)


@cache
def read_console_settings() -> Settings:
    """Read the same for the console, or for all processes."""
    return read_environment(_SettingsOfConsole, described=Settings)


@cache
def read_worker_settings() -> WorkerSettings:
    """Read what a process needs that decrypts no secret: it has no key."""
    return read_environment(WorkerSettings, described=Settings)


@cache
def read_process_settings() -> ProcessSettings:
    """Read what beat and Flower need."""
    return read_environment(ProcessSettings, described=Settings)


def read_database_settings() -> DatabaseSettings:
    """Read where the database is, and nothing else."""
    return read_environment(DatabaseSettings, described=Settings)
