"""An embedded Valkey, with the settings that keep a stream and a broker safe."""

import json
import signal

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from worker.local.servers.binaries import Binaries
from worker.local.servers.data_folder import DataFolder, give_to
from worker.local.servers.local_server import LocalServer
from worker.local.servers.ports import LOOPBACK

PING_SECONDS_MAX = 1.0

SETTINGS = {
    "bind": LOOPBACK,
    "daemonize": "no",
    "dir": "./",
    "appendonly": "yes",  # what was acknowledged outlives the process...
    "appendfsync": "everysec",  # ...and, all but the last second, the machine
    "save": '""',  # no snapshots beside the log
    "maxmemory-policy": "noeviction",  # anything else would delete queues and streams
    "timeout": "0",
    "tcp-keepalive": "60",
}


class ValkeyServer(LocalServer):
    """Valkey 9 with a random password."""

    def __init__(self, home: DataFolder, binaries: Binaries) -> None:
        """Prepare; SIGTERM ends it with the log written out."""
        super().__init__("valkey", home, signal.SIGTERM)
        self._binaries = binaries

    @property
    def url(self) -> str:
        """The address of database 0, password included; it speaks the Redis protocol."""
        # With the user's name: redis-cli takes an empty one for a user whose name is empty.
        return f"redis://default:{self._home.password}@{LOOPBACK}:{self.port}/0"

    def _command(self, port: int) -> list[str]:
        # A file, not arguments: `ps` shows those to every user. And not in the server's own folder,
        # where root would write through a link that the server's user has put in its place.
        settings = {**SETTINGS, "port": str(port), "requirepass": json.dumps(self._home.password)}
        configuration = self._home.path / "valkey.conf"
        configuration.unlink(missing_ok=True)
        configuration.touch(mode=0o600, exist_ok=False)
        configuration.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        give_to(configuration, self._home.account)
        return [str(self._binaries.valkey), str(configuration)]

    def _ready(self, pid: int, port: int) -> bool:
        client = redis.Redis(
            host=LOOPBACK,
            port=port,
            password=self._home.password,
            socket_timeout=PING_SECONDS_MAX,
            socket_connect_timeout=PING_SECONDS_MAX,
            retry=Retry(NoBackoff(), retries=0),
        )
        with client:
            try:
                client.exists("anything")  # INFO answers while the data is still being loaded
                return int(client.info("server")["process_id"]) == pid
            except redis.RedisError:  # not listening yet, still loading, or another server
                return False
