"""A real front end (nginx) before the partner, which is reloaded again and again."""

import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support.free_port import free_port
from tests.support.server_folders import passable_folder
from tests.support.wait import eventually
from worker.local.servers.ports import LOOPBACK

RELOAD_EVERY_SECONDS: Final = 0.25
ENDING_SECONDS_MAX: Final = 60.0
TEMPORARY: Final = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
PLACES: Final = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))


def nginx() -> str | None:
    """The program; None: it is not installed."""
    return shutil.which("nginx", path=PLACES)


@contextmanager
def reloading_front_end(program: str, server_port: int) -> Iterator[int]:
    """Pass requests on to *server_port* while reloading, four times a second; its own port.

    A client that keeps a connection finds it closed after each reload, and at the end.
    """
    over = threading.Event()
    with passable_folder() as folder, _running(program, folder, server_port) as (front, port):

        def reload() -> None:
            while not over.wait(RELOAD_EVERY_SECONDS):
                front.send_signal(signal.SIGHUP)

        reloading = threading.Thread(target=reload, name="reloading")
        reloading.start()
        try:
            yield port
        finally:
            over.set()
            reloading.join(ENDING_SECONDS_MAX)


@contextmanager
def _running(
    program: str, folder: Path, server_port: int
) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    port = free_port()
    file = folder / "nginx.conf"
    file.write_text(_configuration(folder, port, server_port), encoding="utf-8")
    command = [program, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(file)]
    with subprocess.Popen(command) as process:
        try:
            eventually(lambda: listens(process, port))
            yield process, port
        finally:
            process.send_signal(signal.SIGQUIT)
            try:
                process.wait(ENDING_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()


def _configuration(folder: Path, port: int, server_port: int) -> str:
    temporary = "".join(f"{name}_temp_path {folder}/{name};" for name in TEMPORARY)
    return (
        f"daemon off; worker_processes 1; pid {folder}/pid;"
        f"{' user root;' if os.geteuid() == 0 else ''}"
        " worker_shutdown_timeout 5s; events { worker_connections 512; }"
        f" http {{ access_log off; {temporary}"
        f" server {{ listen {LOOPBACK}:{port} backlog=512; location / {{"
        f" proxy_pass http://{LOOPBACK}:{server_port}; proxy_http_version 1.1;"
        " proxy_set_header Host $http_host;"
        " } } }\n"
    )


def listens(process: "subprocess.Popen[bytes]", port: int) -> bool:
    """Whether nginx listens; it must live."""
    assert process.poll() is None, "nginx ended at once"
    with socket.socket() as client:
        return client.connect_ex((LOOPBACK, port)) == 0
