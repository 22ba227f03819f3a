"""The application under the name that Celery's own program takes: `celery -A worker.app …`."""

from worker.celery.application import app

__all__ = ["app"]
