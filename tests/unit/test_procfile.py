"""The Procfile: what it may say, and what its errors tell."""

from pathlib import Path

import pytest

from worker.local.supervisor.procfile import (
    ProcessLine,
    ProcfileError,
    parse_procfile,
    read_procfile,
)


def test_release_stands_apart_from_the_processes_that_stay():
    procfile = parse_procfile(
        "# what runs\nrelease: slipway migrate\n\nintake:  celery worker\nbeat: b -s x:y\n",
        source="Procfile",
    )

    assert procfile.release == ProcessLine("release", "slipway migrate")
    assert procfile.processes == (
        ProcessLine("intake", "celery worker"),
        ProcessLine("beat", "b -s x:y"),
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("web: a\nnonsense\n", "line 2: expected `name: command`"),
        ("web:\n", "line 1: expected `name: command`"),
        ("we b: a\n", "line 1: expected `name: command`"),
        ("web: a\nweb: b\n", "line 2: a process called 'web' appears above already"),
        ("release: slipway migrate\n", "no process besides 'release'"),
        ("", "nothing to run"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(text, problem):
    with pytest.raises(ProcfileError) as refusal:
        parse_procfile(text, source="Procfile")

    assert problem in str(refusal.value)


def test_a_missing_procfile_says_where_to_start_from(tmp_path: Path):
    with pytest.raises(ProcfileError, match="start slipway from the folder that holds Procfile"):
        read_procfile(tmp_path / "Procfile")
