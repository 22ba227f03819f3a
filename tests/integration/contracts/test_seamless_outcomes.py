"""How a wallet's response is classified and recorded, over real HTTP (contracts 2.4)."""

import gzip
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import pytest

from models.events.format import MONEY_FIELDS
from models.history import load_histories
from producers.simulation.partner import (
    CloseWithoutAnswer,
    Respond,
    RespondAsWallet,
    Rule,
    SimulatedPartner,
)
from producers.simulation.partner.behaviour import Behaviour
from tests.support.wallet_setup import OPENING, attempts, deliver, settle

FIRST_PAUSE = timedelta(seconds=10)


@pytest.fixture
def partner(wallet_partner: SimulatedPartner) -> SimulatedPartner:
    return wallet_partner


def one_each(behaviours: Sequence[Behaviour]) -> dict[str, Rule]:
    """One rule for each, with a round of its own."""
    names = [f"round-{number:02}" for number in range(len(behaviours))]
    return {
        name: Rule(behaviour, ticket_id=name)
        for name, behaviour in zip(names, behaviours, strict=True)
    }


def test_what_may_pass_is_tried_again_with_the_same_transaction(delivery, partner, wallet):
    """Contracts 2.4 and contracts 5.4: the wallet pays once, whichever attempt reached it."""
    not_taken: list[Behaviour] = [
        *(RespondAsWallet(code) for code in (999, 1600, 1601, 1602, 12345)),
        RespondAsWallet(999, status=500),
        Respond(503),
        Respond(200, body=b"It works", content_type="text/html", taken=False),
        CloseWithoutAnswer(),
    ]
    taken: list[Behaviour] = [
        RespondAsWallet(999, taken=True),
        Respond(502, taken=True),
        CloseWithoutAnswer(taken=True),
    ]
    rules = one_each([*not_taken, *taken])
    settle(delivery, "ticket_win", *rules)
    first = {entry.ticket_id: entry for entry in deliver(delivery, partner, *rules.values())}
    delivery.clock.advance(FIRST_PAUSE)
    second = {entry.ticket_id: entry for entry in deliver(delivery, partner)}

    assert {name: entry.body for name, entry in second.items()} == {
        name: entry.body for name, entry in first.items()
    }
    assert wallet.balances == {"member001": OPENING + 50 * len(rules)}
    rows = attempts(delivery)
    assert {row.verdict for row in rows[::2]} == {"again", "unanswered"}
    assert {row.verdict for row in rows[1::2]} == {"delivered"}
    doubted = [row.remarks.get("doubts") for row in rows[1::2]]
    unmoved = ["balance_unmoved_at_a_repeat"]
    assert doubted == [None] * len(not_taken) + [unmoved] * len(taken)


def test_a_refusal_is_dead_with_the_wallet_s_text(delivery, partner, wallet):
    """Contracts 2.4: the code decides whatever the HTTP status."""
    coded = [(800, 200), (908, 403), (995, 400), (997, 500), (998, 401)]
    rules = one_each([RespondAsWallet(code, "no\x1b such", status) for code, status in coded])
    settle(delivery, "ticket_win", *rules)

    deliver(delivery, partner, *rules.values())

    rows = attempts(delivery)
    assert [(row.remarks["code"], row.http_status) for row in rows] == coded
    for row, (code, _) in zip(rows, coded, strict=True):
        assert (row.verdict, row.ended) == ("dead", "dead")
        assert row.reason.startswith(f"answered status.code {code} (")
        assert row.reason.endswith("): no\ufffd such")
    assert wallet.balances == {}


def test_code_0_is_done_whatever_the_http_status(delivery, partner):
    rules = one_each([RespondAsWallet(0, status=status) for status in (201, 302, 404, 500)])
    settle(delivery, "ticket_win", *rules)

    deliver(delivery, partner, *rules.values())

    outcomes = [(row.verdict, row.http_status) for row in attempts(delivery)]
    assert outcomes == [("delivered", status) for status in (201, 302, 404, 500)]


@pytest.mark.parametrize(
    ("answer", "doubt"),
    [
        (RespondAsWallet(ref_id="another"), "ref_id_not_ours"),
        (RespondAsWallet(off_by=Decimal("0.01")), "balance_moved_otherwise"),
        (RespondAsWallet(taken=False), "balance_moved_otherwise"),
    ],
)
def test_a_doubtful_success_is_kept_and_told(delivery, partner, caplog, answer, doubt):
    settle(delivery, "ticket_win")

    deliver(delivery, partner, Rule(answer))

    (attempt,) = attempts(delivery)
    assert attempt.verdict == "delivered"
    assert attempt.remarks["doubts"] == [doubt]
    (line,) = [record for record in caplog.records if record.message == "suspicious_responses"]
    assert (line.levelname, line.__dict__["doubts"]) == ("WARNING", [doubt])
    with delivery.engine.begin() as connection:
        (history,) = load_histories(connection, "ticket_win")
    assert history.notices[0].attempts[0].remarks == attempt.remarks


PLAIN = b'{"status":{"code":0,"message":"Success"}}'


@pytest.mark.parametrize(
    ("answer", "flaw"),
    [
        (Respond(body=b""), "with an empty body"),
        (Respond(body=b"It works"), "with a body that is not JSON"),
        (Respond(202, body=b'{"status":{"code":null}}'), "with a status.code that is not a"),
        (Respond(body=b'{"status":{"code":0,"code":999}}'), "with two different values"),
        (Respond(body=gzip.compress(PLAIN, mtime=0)[:-9]), "with a compressed body (gzip), which"),
        (
            Respond(body=b"\x8b\x07\x80", headers=(("Content-Encoding", "br"),)),
            "with a compressed body (br), which",
        ),
        (Respond(body=b'{"x":"' + b"x" * 100_000 + b'"}'), "with a body cut at 64 KiB"),
        (Respond(504, body=b"<html>"), "with a body that is not JSON"),
    ],
)  # fmt: skip
def test_a_wallet_that_may_have_paid_is_left_alone_and_asked_again(delivery, partner, answer, flaw):
    """Rule 15; contracts 2.5: a second payout for a round gets code 806."""
    settle(delivery, "ticket_win")
    deliver(delivery, partner, Rule(answer))
    (notice,) = delivery.rows("SELECT perhaps_delivered, quiet_until, due_at, ended FROM notice")
    assert notice.ended is None
    assert notice.perhaps_delivered
    assert notice.due_at >= notice.quiet_until == delivery.clock.now() + FIRST_PAUSE
    (problem,) = delivery.rows("SELECT problem FROM delivery_attempt")
    assert problem.problem.startswith(f"answered {answer.status} {flaw}")

    delivery.clock.advance(FIRST_PAUSE)
    deliver(delivery, partner, Rule(RespondAsWallet(806)))

    first, second = attempts(delivery)
    assert (first.verdict, second.verdict) == ("unanswered", "delivered")
    assert second.remarks["doubts"] == ["already_done_at_a_repeat"]


@pytest.mark.parametrize(
    "body",
    [
        PLAIN.replace(b"0", b'"0"'),
        PLAIN.replace(b"0", b"0.0"),
        PLAIN.replace(b"Success", b"Erfolg f\xfcr Sie"),
        b"\xef\xbb\xbf" + PLAIN,
        PLAIN[:-1] + b',"history":"' + b"x" * 100_000 + b'"}',
    ],
    ids=["text", "decimal", "Latin-1", "BOM", "too long"],
)
def test_a_wallet_that_says_0_in_its_own_way_has_paid(delivery, partner, body):
    settle(delivery, "ticket_win")

    deliver(delivery, partner, Rule(Respond(body=body)))

    (attempt,) = attempts(delivery)
    assert (attempt.verdict, attempt.remarks["code"]) == ("delivered", 0)


@pytest.mark.parametrize("code", [806, 807])
@pytest.mark.parametrize("action", ["ticket_void", "ticket_refund"])
def test_a_cancel_whose_answer_was_lost_is_done_by_the_word_of_its_repeat(
    delivery, partner, wallet, action, code
):
    amounts = dict.fromkeys(MONEY_FIELDS, 25_000) | {"wht": 0, "ext": 0, "ext_type": "inclusive"}
    settle(delivery, action, **(amounts if action == "ticket_void" else {}))
    deliver(delivery, partner, Rule(CloseWithoutAnswer(taken=True)))
    delivery.clock.advance(FIRST_PAUSE)

    deliver(delivery, partner, Rule(RespondAsWallet(code, taken=False)))

    _, second = attempts(delivery)
    assert (second.verdict, second.ended) == ("delivered", "delivered")
    assert second.remarks["doubts"] == ["already_done_at_a_repeat"]
    assert wallet.balances == {"member001": OPENING + 250}
