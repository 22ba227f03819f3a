"""What a worker has loaded stays for good, so the garbage collector need not look through it.

Without this, going through Celery's and our own modules again and again is a quarter of what the
intake costs: each chunk makes thousands of objects, and their number is what starts a collection.
That number is raised, too: what a chunk makes goes as soon as nothing refers to it, without any
collection, and those that find nothing are a twentieth of what the intake costs.
"""

import gc
from typing import Final

from celery import signals

OBJECTS: Final = 20_000  # more than before a collection looks; a chunk of 500 makes some 6,000


def connect() -> None:
    """Set aside what is there once a worker is ready."""
    signals.worker_ready.connect(_set_aside, weak=False)


def _set_aside(**_newer: object) -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS, *gc.get_threshold()[1:])
