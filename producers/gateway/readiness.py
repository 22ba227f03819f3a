"""Whether the gateway can do its work: the schema is new enough, and Redis would take events."""

import logging
from collections.abc import Iterator

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from models.database.session import UnfitDatabase
from models.migrations.runner import current_revision, expected_revision
from producers.gateway.stream import GatewayStream

log = logging.getLogger(__name__)


class GatewayReadiness:
    """Asks PostgreSQL and Redis, within seconds."""

    def __init__(self, *, engine: Engine, stream: GatewayStream) -> None:
        """Prepare; nothing is asked before `faults`."""
        self._engine = engine
        self._stream = stream
        self._expected = expected_revision()

    def faults(self) -> list[str]:
        """Name what is not ready, each in a sentence without secrets; empty when all is."""
        stream = self._stream.fault()
        return [*self._database_faults(), *([] if stream is None else [stream])]

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _database_faults(self) -> Iterator[str]:
        try:
            with self._engine.connect() as connection:
                current = current_revision(connection)
        except SQLAlchemyError as error:
            log.warning("not_ready_postgresql", extra={"error": str(error)})
            unfit = error.orig if isinstance(error, DBAPIError) else None
            yield str(unfit) if isinstance(unfit, UnfitDatabase) else "PostgreSQL does not answer"
            return
        # Revisions are numbers of four digits. A newer one is fine: while a release rolls out, old
        # processes work on the new schema.
        if current is None or current < self._expected:
            yield (
                f"the schema is at revision {current or 'none'}, this code needs"
                f" {self._expected}: run `slipway migrate`"
            )
