"""Everything a trial needs, made and ended: servers, schema, partner, operator, processes."""

from datetime import timedelta
from pathlib import Path

from cryptography.fernet import Fernet
from pydantic import SecretStr

from models.database import open_engine
from models.encryption import Vault, new_secret
from models.interventions import Person
from models.migrate import upgrade
from models.operators import NewOperator, add_operator
from producers.simulation.partner import SimulatedPartner
from tests.faults.chaos import OPERATOR, Chaos, Report, Trial, log_of
from tests.faults.fleet import Fleet
from worker.embedded import embedded_servers

LEDGER_MAX = 5_000_000  # everything is kept: the books need it all
SETTINGS = {
    "SLIPWAY_PARTNER_NETWORKS": "127.0.0.0/8",
    "SLIPWAY_PARTNER_TIMEOUT": "1s",
    "SLIPWAY_RETRY_SCHEDULE": "1s,2s,3s",
    "SLIPWAY_PARKING_WINDOW": "20s",
    "SLIPWAY_CLAIM_IDLE": "5s",
}


def perform(trial: Trial, *, folder: Path) -> Report:
    """Run *trial* in *folder*, which other users can pass through."""
    secret, key = new_secret(), Fernet.generate_key().decode()
    with embedded_servers(durable=False, within=folder) as servers:
        upgrade(servers.database_url)
        with SimulatedPartner(secret=secret, entries_max=LEDGER_MAX) as partner:
            _add_operator(servers.database_url, partner.url, secret, key, trial.close_delay)
            environment = {
                **SETTINGS,
                "TMPDIR": str(folder),
                "SLIPWAY_DATABASE_URL": servers.database_url,
                "SLIPWAY_REDIS_URL": servers.redis_url,
                "SLIPWAY_SECRET_KEY": key,
            }
            fleet = Fleet(environment, log_of(folder))
            try:
                return Chaos(trial, servers, partner, fleet).run()
            finally:
                fleet.stop()


def _add_operator(
    database_url: str, partner_url: str, secret: str, key: str, close_delay: timedelta
) -> None:
    engine = open_engine(database_url, application_name="chaos")
    with engine.begin() as connection:
        add_operator(
            connection,
            NewOperator(
                code=OPERATOR,
                url=partner_url,
                protocol="pam",
                close_delay=close_delay,
                secret=secret,
            ),
            vault=Vault.with_keys([SecretStr(key)]),
            person=Person("chaos", "a trial"),
        )
    engine.dispose()
