"""What a worker has loaded stays for good, so the garbage collector need not look through it.

Without this, going through Celery's and our own modules again and again is a quarter of what the
intake costs: each chunk makes thousands of objects, and their number is what starts a collection.
"""

import gc

from celery import signals


def connect() -> None:
    """Set aside what is there once a worker is ready."""
    signals.worker_ready.connect(_set_aside, weak=False)


def _set_aside(**_newer: object) -> None:
    gc.collect()
    gc.freeze()
