"""The benchmark of the peers says what it takes, what it kept and who could not take part.

It never runs a peer here: these are installed by `make bench-peers` only.
"""

import json
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from tests.load.peers import bench, installed, page, restate_peer, slipway
from tests.load.peers.contender import Counted, Measured
from tests.support.celery_process import ROOT

DAY = datetime(2026, 11, 30, tzinfo=UTC)
NAMES = {contender.name for contender in bench.contenders()}


@pytest.fixture
def nothing_installed(monkeypatch):
    monkeypatch.setattr(installed, "PYTHON", ROOT / "build/nowhere/bin/python")
    installed.versions.cache_clear()
    yield
    installed.versions.cache_clear()


def results() -> page.Results:
    made = page.Results(jobs=2_000)
    for rate in (1_000.0, 3_000.0, 2_000.0):
        made.add("slipway", Measured(rate, 100, 50, 5, 2_000, 4_000, 0))
        made.add("dbos", Measured(rate / 4, 900, 500, 0, 3_000, 6_000, 1))
    made.versions["dbos"] = "dbos 3.4.0"
    made.absent["restate"] = "npm's package has no binary"
    made.failed["celery"] = "PeerFailed: it ended with 1\nand this is its log"
    return made


def test_help_names_the_contenders_and_shows_an_example(capsys):
    with pytest.raises(SystemExit) as ended:
        bench.main(["--help"])

    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "tests.load.peers.bench --peers slipway,pgqueuer-bulk" in shown
    assert all(name in shown for name in NAMES)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            ["--peers", "slipway,kafka"],
            "no contender is called kafka; there are slipway, pgqueuer-",
        ),
        (["--jobs", "10"], "--jobs 10: fewer than 100 say nothing"),
        (["--rounds", "0"], "--rounds 0: at least one"),
    ],
    ids=["unknown peer", "too few jobs", "no round"],
)
def test_wrong_arguments_are_named_with_what_is_right(capsys, arguments, problem):
    with pytest.raises(SystemExit) as ended:
        bench.main(arguments)

    assert ended.value.code == 2
    assert problem in " ".join(capsys.readouterr().err.split())


@pytest.mark.usefixtures("nothing_installed")
def test_peers_that_are_not_installed_are_named_and_nothing_is_measured(capsys):
    code = bench.main(["--peers", "pgqueuer-bulk,restate"])

    assert code == bench.ABSENT
    assert capsys.readouterr().out.splitlines() == [
        f"{name}: not run: there is no build/nowhere/bin/python: `make bench-peers` installs it"
        for name in ("pgqueuer-bulk", "restate")
    ]


def test_restate_without_a_binary_for_this_machine_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(installed, "missing", lambda *_: "")
    monkeypatch.setattr(restate_peer, "MODULES", tmp_path)
    absent = restate_peer.RestatePeer().missing()
    (tmp_path / restate_peer.NPM_PACKAGE).mkdir(parents=True)
    without = restate_peer.RestatePeer().missing()

    assert "npm's package @restatedev/restate-server is not in" in absent
    assert without.startswith("npm's package @restatedev/restate-server has no binary for ")


def test_the_page_has_medians_and_ranges_and_names_who_is_not_in_them():
    text = page.page(results().summed_up(day=DAY))

    assert "| slipway | 2,000 (1,000 to 3,000) | 100 (100 to 100) |" in text
    assert "| dbos | 500 (250 to 750) |" in text
    assert "| 0.25 |" in text
    assert "dbos: the sink had 3 notices more than once." in text
    assert "**restate was not run**: npm's package has no binary." in text
    assert "**celery failed**: PeerFailed: it ended with 1\n" in text
    assert "and this is its log" not in text
    assert "| dbos | dbos 3.4.0 |" in text


def test_the_kept_page_is_made_of_the_kept_figures():
    kept = json.loads((page.KEPT / "peers.json").read_text(encoding="utf-8"))

    assert (page.KEPT / "PEERS.md").read_text(encoding="utf-8") == page.whole_page(kept)


def test_each_contender_has_its_section():
    sections = page.DIFFERENCES.read_text(encoding="utf-8").split("\n## ")[1:]

    assert {section.partition("\n")[0] for section in sections} == NAMES


def test_slipway_is_counted_in_the_tables_that_it_has(engine: Engine):
    assert slipway.counted(engine) == Counted(settled=0, notified=0, timers=0)
