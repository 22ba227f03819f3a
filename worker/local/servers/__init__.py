"""Real PostgreSQL and Valkey without installing any: for the demo, `up --embedded` and tests."""

from worker.local.servers.errors import EmbeddedError
from worker.local.servers.servers import Servers, embedded_servers

__all__ = ["EmbeddedError", "Servers", "embedded_servers"]
