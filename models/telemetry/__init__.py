"""Logs as JSON lines, and metrics for Prometheus."""

from models.platform.lean_imports import import_lean

import_lean("structlog")
