"""The console: web pages for support and operations. `README.md` says how to add a page."""

from models.platform.lean_imports import import_lean

import_lean("redis", "structlog")
