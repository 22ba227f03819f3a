"""A worker does not start on a database that it must not work with, and says why."""

from celery import bootsteps
from celery.worker import WorkController

from models.database.engine import require_usable_database
from models.database.session import UnusableDatabase
from worker.celery import dependencies as wiring


class DatabaseCheck(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery carries no types
    """Looks at the database once before anything else starts."""

    def include_if(self, worker: WorkController) -> bool:  # noqa: ARG002 - Celery's signature
        """Say that there is nothing to start or stop. Ends the process where it must not work."""
        try:
            require_usable_database(
                wiring.settings().database_url, application_name=f"slipway {wiring.role()}"
            )
        except UnusableDatabase as refusal:
            raise SystemExit(f"slipway: {refusal}") from None
        return False
