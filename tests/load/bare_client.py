"""Bare libcurl: what it costs to post, and nothing else."""

from collections import deque

import pycurl

IN_FLIGHT = 64  # where it is fastest
BODY = b'{"action":"ticket_win","data":{"operator":"acme","ticket_id":"T-0000001"}}'
SAME = ["Content-Type: application/json", "Expect:"]
HEADERS = [*SAME, "signature: " + "0" * 64, "timestamp: 1763632800000"]


class BareClient:
    """Posts the same bytes again and again, connections kept. A subclass posts its own."""

    def __init__(self, url: str) -> None:
        """Make the handles; they connect with their first calls."""
        self._multi = pycurl.CurlMulti()
        self._idle: deque[pycurl.Curl] = deque(_handle(url) for _ in range(IN_FLIGHT))

    def post(self, requests: int) -> None:
        """Post *requests* messages, and return once each has its answer."""
        started = ended = 0
        while ended < requests:
            while self._idle and started < requests:
                easy = self._idle.popleft()
                self.load(easy, started)
                self._multi.add_handle(easy)
                started += 1
            self._multi.perform()
            more = 1
            while more:
                more, done, failed = self._multi.info_read()
                assert not failed, "the sink takes everything"
                for easy in done:
                    self._multi.remove_handle(easy)
                    self.answered(easy)
                    self._idle.append(easy)
                ended += len(done)
            if ended < requests and (not self._idle or started == requests):
                self._multi.select(1.0)

    def load(self, easy: pycurl.Curl, number: int) -> None:
        """Prepare a handle for the request of this number."""

    def answered(self, easy: pycurl.Curl) -> None:
        """Take note of an answer."""

    def close(self) -> None:
        """Close the connections."""
        self._multi.close()


def _handle(url: str) -> pycurl.Curl:
    easy = pycurl.Curl()
    easy.setopt(pycurl.URL, url)
    easy.setopt(pycurl.POSTFIELDS, BODY)
    easy.setopt(pycurl.HTTPHEADER, HEADERS)
    easy.setopt(pycurl.WRITEFUNCTION, len)
    easy.setopt(pycurl.NOSIGNAL, 1)
    return easy
