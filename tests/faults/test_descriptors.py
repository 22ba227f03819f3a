"""What the trials call flat: a process that opens and never closes is found."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.faults.descriptors import GROWN_MAX, Descriptors
from tests.faults.process_set import Member
from tests.support.wait import eventually

HOLDER = """
import os, sys
print("ready", flush=True)
kept = []
for line in sys.stdin:
    if int(line) > len(kept):
        kept += [os.open(os.devnull, os.O_RDONLY) for _ in range(int(line) - len(kept))]
    while len(kept) > int(line):
        os.close(kept.pop())
    print("done", flush=True)
"""


@pytest.fixture
def member() -> Iterator[Member]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            hold(process, 0)
            yield Member("intake", 0, process)
        finally:
            process.kill()


def hold(process: "subprocess.Popen[bytes]", many: int) -> None:
    """Have *process* hold this many files."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{many}\n".encode())
    process.stdin.flush()
    while process.stdout.readline() not in {b"done\n", b""}:
        pass


def test_one_that_grows_and_stays_so_is_not_flat(member):
    descriptors = Descriptors()
    descriptors.begin([member])
    hold(member.process, GROWN_MAX + 1)
    descriptors.end([member])

    assert not descriptors.flat


def test_a_peak_is_not_flat_either(member):
    descriptors = Descriptors()
    descriptors.begin([member])
    hold(member.process, 500)
    eventually(lambda: looked(descriptors, member) >= 500)
    hold(member.process, 0)
    descriptors.end([member])

    assert not descriptors.flat
    assert "intake" in descriptors.in_words()


def test_what_work_needs_is_flat(member):
    descriptors = Descriptors()
    descriptors.begin([member])
    hold(member.process, GROWN_MAX // 2)
    descriptors.end([member])

    assert descriptors.flat


def looked(descriptors: Descriptors, member: Member) -> int:
    descriptors.pass_by([member])
    return descriptors.peak.get("intake", 0)
