"""A web server for a test, in a thread of this process, which ends as soon as it is told."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn

from tests.support.wait import eventually

STOPPING_SECONDS = 60.0
CLOSING_POLL_SECONDS = 0.005
DATE_SECONDS = 1.0


class _PromptServer(uvicorn.Server):
    """uvicorn looks ten times a second whether it should end, and rests before it does.

    That is nothing for a process, and a sixth of a second for each of hundreds of tests.
    """

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and be ready to be told."""
        self._loop = asyncio.get_running_loop()
        self._told = asyncio.Event()
        await super().startup(sockets)

    def tell_to_end(self) -> None:
        """End as soon as no request is in progress. For other threads."""
        self.should_exit = True
        self._loop.call_soon_threadsafe(self._told.set)

    async def main_loop(self) -> None:
        """Keep the date of the responses right until told to end."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), DATE_SECONDS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - uvicorn's own signature; it opened ours
        """Do as uvicorn does, in its order."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110 - uvicorn tells nobody when they end
            await asyncio.sleep(CLOSING_POLL_SECONDS)
        for server in self.servers:
            await server.wait_closed()
        await self.lifespan.shutdown()


@contextmanager
def web_server(config: uvicorn.Config) -> Iterator[str]:
    """Run it until the block ends; its address."""
    server = _PromptServer(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        eventually(lambda: server.started)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.tell_to_end()
        thread.join(STOPPING_SECONDS)
