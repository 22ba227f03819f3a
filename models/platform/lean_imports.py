"""Libraries without the optional ones that they would load for what no process does.

structlog loads rich for tracebacks with local variables, which we never write because they hold
secrets; redis-py loads OpenTelemetry's metrics, which we never ask it for. Together they take some
9 MiB and a tenth of a second of each process.
"""

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Final

_UNWANTED: Final[Mapping[str, str]] = {"redis": "opentelemetry.sdk.metrics", "structlog": "rich"}


def import_lean(*libraries: str) -> None:
    """Import *libraries* as if what they load without need were not installed.

    Afterwards it can be imported as ever. What is loaded already is left as it is.
    """
    for library in libraries:
        unwanted = _UNWANTED[library]
        if library in sys.modules or unwanted in sys.modules:
            continue
        sys.modules[unwanted] = None  # type: ignore[assignment]  # how Python marks what is not to be found
        try:
            import_module(library)
        finally:
            del sys.modules[unwanted]
