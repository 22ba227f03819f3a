"""Everything a trial needs, made and ended: servers, schema, partner, operator, processes."""

from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from pydantic import SecretStr
from redis import Redis
from sqlalchemy import make_url

from models.database.engine import open_engine
from models.migrations.runner import upgrade
from models.operators import NewOperator, add_operator
from models.operators.interventions import Person
from models.platform.encryption import Vault, new_secret
from producers.simulation.partner import SimulatedPartner
from producers.simulation.partner.server import url_of
from tests.faults.backends import BEGINNINGS, CREATES, Backends
from tests.faults.chaos import Chaos, Report, Trial, log_of
from tests.faults.clocks import clock_of, in_words
from tests.faults.fault_actions import FaultTargets
from tests.faults.front_end import nginx
from tests.faults.network import EVERYBODY, Network
from tests.faults.process_set import NAMES, ProcessSet
from tests.faults.recovery import Pulse
from tests.faults.schedule import Fault, Place
from tests.faults.surroundings import LEFT_OUT, Surroundings, surroundings
from tests.support import shifted_clock
from worker.local.servers import Servers, embedded_servers
from worker.local.servers.ports import LOOPBACK

LEDGER_MAX = 5_000_000  # everything is kept: the records need it all
PATIENCE = timedelta(minutes=2)
SETTINGS = {
    "SLIPWAY_PARTNER_NETWORKS": "127.0.0.0/8",
    "SLIPWAY_PARTNER_TIMEOUT": "1s",
    "SLIPWAY_RETRY_SCHEDULE": "1s,2s,3s",
    "SLIPWAY_PARKING_WINDOW": "20s",
    "SLIPWAY_CLAIM_IDLE": "5s",
    "SLIPWAY_DISCARD_INTERVAL": "3s",
}


def perform(trial: Trial, *, folder: Path) -> Report:
    """Run *trial* in *folder*, which other users can pass through."""
    secret, key = new_secret(), Fernet.generate_key().decode()
    library = shifted_clock.build(folder)
    with ExitStack() as ends:
        servers = ends.enter_context(embedded_servers(durable=trial.behind, within=folder))
        upgrade(servers.database_url)
        watch = ends.enter_context(
            Redis.from_url(servers.redis_url, socket_timeout=2, decode_responses=True)
        )
        pulse = ends.enter_context(closing(Pulse(watch, servers.database_url)))
        partner = ends.enter_context(
            SimulatedPartner(secret=secret, entries_max=LEDGER_MAX, on_request=pulse.record_request)
        )
        network = ends.enter_context(Network())
        way = (EVERYBODY, Place.PARTNER)
        address = url_of(LOOPBACK, network.lay(way, LOOPBACK, partner.port))
        _add_operators(servers.database_url, address, secret, key, trial.close_delay)
        around = (
            ends.enter_context(surroundings(servers, network, folder)) if trial.behind else None
        )
        addresses = {name: _addresses(name, servers, network, around) for name in NAMES}
        processes = ProcessSet(
            environment={**SETTINGS, "TMPDIR": str(folder), "SLIPWAY_SECRET_KEY": key},
            log=log_of(folder),
            own=lambda name: {**addresses[name], **clock_of(name, library)},
        )
        ends.callback(processes.stop)
        rng = Random(trial.seed)  # noqa: S311 - faults, nothing secret
        backends = Backends(
            servers.redis_url if around is None else around.redis_url,
            lives_per_second=trial.lives_per_second,
            seed=trial.seed,
            patience=timedelta(seconds=2 * trial.long) + PATIENCE,
        )
        targets = FaultTargets(servers, partner, processes, network, watch, rng, backends, around)
        without = {Fault.POSTGRES_FAILS_OVER} if around is None else {*LEFT_OUT}
        if nginx() is None:
            without.add(Fault.PARTNER_RELOADS)
        return Chaos(trial, targets, pulse, clocks=in_words(library), without=without).run()


def _addresses(
    name: str, servers: Servers, network: Network, around: Surroundings | None
) -> dict[str, str]:
    """Lay the lines of one process; the addresses at which it finds its servers."""
    database_url = servers.database_url if around is None else around.pooled_url
    server = make_url(database_url).port
    assert server is not None, "both addresses have one"
    postgres = network.lay((name, Place.POSTGRES), LOOPBACK, server)
    if around is not None:  # sentinels tell everybody the same address of the primary
        redis_url = around.redis_url
    else:
        valkey = network.lay((name, Place.VALKEY), LOOPBACK, servers.valkey.port)
        redis_url = _by_way_of(servers.redis_url, valkey)
    return {
        "SLIPWAY_DATABASE_URL": _by_way_of(database_url, postgres),
        "SLIPWAY_REDIS_URL": redis_url,
    }


def _by_way_of(url: str, port: int) -> str:
    """The same address at another port."""
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{login}@{LOOPBACK}:{port}").geturl()


def _add_operators(
    database_url: str, partner_url: str, secret: str, key: str, close_delay: timedelta
) -> None:
    engine = open_engine(database_url, application_name="chaos")
    vault = Vault.with_keys([SecretStr(key)])
    for code in BEGINNINGS:
        new = NewOperator(
            code=code,
            url=partner_url,
            protocol="pam",
            close_delay=close_delay,
            secret=secret,
            announces_tickets=code == CREATES,
        )
        with engine.begin() as connection:
            add_operator(connection, new, vault=vault, person=Person("chaos", "a trial"))
    engine.dispose()
