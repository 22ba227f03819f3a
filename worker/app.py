"""The Celery application under the name that a Procfile starts: `celery -A worker.app …`."""

from worker.celery.application import app

__all__ = ["app"]
