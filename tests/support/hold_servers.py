"""A program that runs the embedded servers until its input ends or it is killed.

    python -m tests.support.hold_servers '{"data": null, "uid": null, "gid": null}'

Prints one line of JSON: addresses and process ids. With `uid` it becomes that user first, for
good; `python` is then an interpreter which that user may execute.
"""

import encodings.idna  # noqa: F401 - see `main`
import json
import os
import sys
from pathlib import Path

import redis

from worker.local.servers import embedded_servers


def main() -> None:
    """Do as the first argument says."""
    wanted = json.loads(sys.argv[1])
    if wanted.get("uid") is not None:
        # What is imported late must be there already: this Python may be out of the user's reach.
        redis.Redis().close()
        sys.executable = wanted["python"]
        os.setgroups([])
        os.setgid(wanted["gid"])
        os.setuid(wanted["uid"])
    data = None if wanted.get("data") is None else Path(wanted["data"])
    with embedded_servers(data) as servers:
        report = {
            "database_url": servers.database_url,
            "postgres": servers.postgres.pid,
            "valkey": servers.valkey.pid,
            "folder": str(servers.postgres.log_file.parent),
        }
        sys.stdout.write(json.dumps(report) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
