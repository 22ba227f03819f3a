"""What is made of a wallet's answer, over real HTTP, with its books beside (contracts.md 2.4)."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import pytest

from models.story import read_stories
from producers.simulation.partner import (
    Answer,
    CloseWithoutAnswer,
    Rule,
    SimulatedPartner,
    WalletAnswer,
)
from producers.simulation.partner.behaviour import Behaviour
from tests.support.wallet_scene import OPENING, attempts, deliver, settle

FIRST_PAUSE = timedelta(seconds=10)


@pytest.fixture
def partner(wallet_partner: SimulatedPartner) -> SimulatedPartner:
    return wallet_partner


def one_each(behaviours: Sequence[Behaviour]) -> dict[str, Rule]:
    """A rule for a round of its own for each."""
    names = [f"round-{number:02}" for number in range(len(behaviours))]
    return {name: Rule(one, ticket_id=name) for name, one in zip(names, behaviours, strict=True)}


def test_what_may_pass_is_tried_again_with_the_same_transaction(scene, partner, wallet):
    """Contracts 2.4, 5.4: the wallet pays once, whichever attempt reached it."""
    not_taken: list[Behaviour] = [
        *(WalletAnswer(code) for code in (999, 1600, 1601, 1602, 12345)),
        WalletAnswer(999, status=500),
        Answer(503),
        Answer(200, body=b"It works", content_type="text/html", taken=False),
        CloseWithoutAnswer(),
    ]
    taken: list[Behaviour] = [
        WalletAnswer(999, taken=True),
        Answer(502, taken=True),
        CloseWithoutAnswer(taken=True),
    ]
    rules = one_each([*not_taken, *taken])
    settle(scene, "ticket_win", *rules)
    first = {entry.ticket_id: entry for entry in deliver(scene, partner, *rules.values())}
    scene.clock.advance(FIRST_PAUSE)
    second = {entry.ticket_id: entry for entry in deliver(scene, partner)}

    assert {name: entry.body for name, entry in second.items()} == {
        name: entry.body for name, entry in first.items()
    }
    assert wallet.balances == {"member001": OPENING + 50 * len(rules)}
    kept = attempts(scene)
    assert {one.verdict for one in kept[::2]} == {"again", "unanswered"}
    assert {one.verdict for one in kept[1::2]} == {"delivered"}
    doubted = [one.remarks.get("doubts") for one in kept[1::2]]
    unmoved = ["balance_unmoved_at_a_repeat"]
    assert doubted == [None] * len(not_taken) + [unmoved] * len(taken)


def test_a_refusal_is_dead_with_the_wallet_s_words(scene, partner, wallet):
    """Contracts 2.4: the code decides whatever the HTTP status."""
    coded = [(800, 200), (908, 403), (995, 400), (997, 500), (998, 401)]
    rules = one_each([WalletAnswer(code, "no\x1b such", status) for code, status in coded])
    settle(scene, "ticket_win", *rules)

    deliver(scene, partner, *rules.values())

    kept = attempts(scene)
    assert [(one.remarks["code"], one.http_status) for one in kept] == coded
    for one, (code, _) in zip(kept, coded, strict=True):
        assert (one.verdict, one.ended) == ("dead", "dead")
        assert one.reason.startswith(f"answered status.code {code} (")
        assert one.reason.endswith("): no\ufffd such")
    assert wallet.balances == {}


def test_code_0_is_done_whatever_the_http_status(scene, partner):
    rules = one_each([WalletAnswer(0, status=status) for status in (201, 302, 404, 500)])
    settle(scene, "ticket_win", *rules)

    deliver(scene, partner, *rules.values())

    kept = [(one.verdict, one.http_status) for one in attempts(scene)]
    assert kept == [("delivered", status) for status in (201, 302, 404, 500)]


@pytest.mark.parametrize(
    ("answer", "doubt"),
    [
        (WalletAnswer(ref_id="another"), "ref_id_not_ours"),
        (WalletAnswer(off_by=Decimal("0.01")), "balance_moved_otherwise"),
        (WalletAnswer(taken=False), "balance_moved_otherwise"),
    ],
)
def test_a_doubtful_success_is_kept_and_told(scene, partner, caplog, answer, doubt):
    settle(scene, "ticket_win")

    deliver(scene, partner, Rule(answer))

    (attempt,) = attempts(scene)
    assert attempt.verdict == "delivered"
    assert attempt.remarks["doubts"] == [doubt]
    (line,) = [record for record in caplog.records if record.message == "answers_doubtful"]
    assert (line.levelname, line.__dict__["doubts"]) == ("WARNING", [doubt])
    with scene.engine.begin() as connection:
        (story,) = read_stories(connection, "ticket_win")
    assert story.notices[0].attempts[0].remarks == attempt.remarks
