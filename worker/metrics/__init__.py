"""The metrics of the worker processes, updated per batch or round, never per event.

`intake`, `delivery` and `sweep` count what their own process does. `collector` collects the stats
of PostgreSQL and Redis for the whole system, `gauges` exports them, `server` serves them. README.md
explains names, labels and alerts.
"""
