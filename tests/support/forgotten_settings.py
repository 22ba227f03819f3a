"""Settings are read once by a process; among the tests of one process each reads its own."""

from models.settings.settings import (
    read_console_settings,
    read_process_settings,
    read_settings,
    read_worker_settings,
)

READERS = (read_settings, read_console_settings, read_worker_settings, read_process_settings)


def forget_settings() -> None:
    """Have the environment read again when settings are next asked for."""
    for read in READERS:
        read.cache_clear()
