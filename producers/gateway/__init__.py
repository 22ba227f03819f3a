"""The HTTP gateway: the interface of Slipway for publishers, operators and probes."""

from models.platform.lean_imports import import_lean

import_lean("redis", "structlog")
