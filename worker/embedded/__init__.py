"""Real PostgreSQL and Valkey without installing any: for the demo, `up --embedded` and tests."""

from worker.embedded.errors import EmbeddedError
from worker.embedded.servers import Servers, embedded_servers

__all__ = ["EmbeddedError", "Servers", "embedded_servers"]
