"""Libraries without the optional ones that they would load for what no process does.

structlog loads rich for tracebacks with local variables, which we never write because they hold
secrets; redis-py loads OpenTelemetry's metrics, which we never ask it for. Together they take some
9 MiB and a tenth of a second of each process. Four more libraries take another 4 MiB: greenlet,
which we do not use, Pygments, which colours a printed configuration, psutil, which prints how much
memory is used, and YAML.
"""

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Final

_UNWANTED: Final[Mapping[str, tuple[str, ...]]] = {
    "celery.bin.base": ("greenlet", "pygments", "yaml"),
    "celery.bootsteps": ("greenlet",),
    "celery.utils.debug": ("psutil",),
    "redis": ("opentelemetry.sdk.metrics",),
    "structlog": ("greenlet", "rich"),
}


def import_lean(*libraries: str) -> None:
    """Import *libraries* as if what they load without need were not installed.

    Afterwards it can be imported as ever. What is loaded already is left as it is.
    """
    for library in libraries:
        unwanted = [name for name in _UNWANTED[library] if name not in sys.modules]
        if library in sys.modules or not unwanted:
            continue
        sys.modules.update(dict.fromkeys(unwanted))  # type: ignore[arg-type]  # how Python marks what is not to be found
        try:
            import_module(library)
        finally:
            for name in unwanted:
                del sys.modules[name]
