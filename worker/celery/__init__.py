"""What Celery runs or calls: the application, its settings, bootsteps, tasks, receivers."""

from models.platform.lean_imports import import_lean

import_lean("redis", "structlog", "celery.bin.base", "celery.bootsteps", "celery.utils.debug")
