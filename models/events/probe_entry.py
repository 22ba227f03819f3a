"""An XADD that shows whether the stream accepts events, and that never leaves an entry behind.

Redis checks it like any other: rights, role, replicas, memory, disk, slot, type and ids of the key.
Its id, 0-1, is older than that of any event, so a stream that ever held one refuses it with
`OLDER`, and nothing else is wrong. A stream that never held one accepts it and trims it in the same
step: MINID can remove nothing but ids below 0-2. Where there is no stream, NOMKSTREAM creates none.
"""

from typing import Final

OLDER: Final = "equal or smaller than the target stream top item"
# In Redis' errors about a key that will never accept an event, whatever is sent.
_UNUSABLE: Final = ("WRONGTYPE", "exhausted the last possible ID", OLDER)


def probe_command(stream: str) -> tuple[str, ...]:
    """Return the command. *stream* accepts events if the reply is no error, or has `OLDER`."""
    return ("XADD", stream, "NOMKSTREAM", "MINID", "=", "0-2", "0-1", "trial", "")


def is_unusable(refusal: str) -> bool:
    """Return whether Redis refused an entry because of the key: its type, or no ids are left."""
    return any(words in refusal for words in _UNUSABLE)
