"""A contradiction is noted where it can be corrected, and refused where money would be gone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.events.event import Event
from models.lifecycle.decide import decide
from models.lifecycle.ticket import Decision, Terms
from models.vocabulary import Status
from tests.support.lottery import accepted, bet, settlement
from tests.support.tickets import MONEY, PAM, ROUND, SEAMLESS, event, ticket

LOST = {"line_id": 1, "matched_numbers": [12], "is_winning_line": False}
WON = {**LOST, "is_winning_line": True}
PLAYER = ROUND["player_id"]
NO_MONEY = dict.fromkeys(MONEY)


def decided(arrived: Event, terms: Terms = PAM, standing: str = "open") -> Decision:
    return decide(ticket(standing, terms), arrived)


def settled(**facts: object) -> Event:
    return accepted(settlement(**{"user_id": PLAYER, **facts}))


DOUBTFUL = [
    (settled(won=False, amount=4), "the amount is 4, but no line has won: nothing is paid"),
    (settled(amount=0), "won, but net_payout is 0"),
    (settled(won=False, lines=[]), "it has no lines"),
    (settled(lines=[WON, LOST]), "a line appears twice"),
    (settled(skip_publishing=True), "skip_publishing is true, but it was published"),
    (settled(discount_amount=1.5), "a settlement has no discount, but discount_amount is 1.5"),
    (
        settled(timestamp="2024-11-20T08:59:59Z"),
        "it was settled before its draw of 2024-11-20T09:00:00Z",
    ),
    (event("lost@1", net_payout=900), "lost, but net_payout is 900"),
    (event("lost@1", gross_payout=1), "lost, but gross_payout is 1"),
    (event("win@1", net_payout=0), "won, but net_payout is 0"),
    (
        event("win@1", net_payout=2, gross_payout=1),
        "net_payout 2 is more than gross_payout 1",
    ),
    (
        event("refund@1", price=500, net_payout=400),
        "refunded, but net_payout is 400 and the price 500",
    ),
]


@pytest.mark.parametrize(
    ("published", "doubt"), DOUBTFUL, ids=lambda value: value if isinstance(value, str) else ""
)
def test_what_can_be_corrected_is_applied_with_a_doubt(published, doubt):
    decision = decided(published)

    assert decision == ("applied", None, f"doubtful: {doubt}")


@pytest.mark.parametrize(
    ("facts", "doubt"),
    [
        ({"discount_amount": 1}, "discount_amount is 1: the amount of 4.0 is taken for what was"),
        ({"lines": []}, "it has no lines"),
        ({"skip_publishing": True}, "skip_publishing is true, but it was published"),
        (
            {"lines": [{"line_id": 1, "numbers": [1], "is_free_bet": True}]},
            "all lines are free bets, but the amount is 4.0",
        ),
    ],
)
def test_a_doubtful_bet_opens_its_ticket_and_is_noted(facts, doubt):
    decision = decided(accepted(bet(**facts)), standing="absent")

    assert (decision.outcome, decision.reason) == ("applied", None)
    assert (decision.message or "").startswith(f"doubtful: {doubt}")


@pytest.mark.parametrize(
    "published",
    [
        settled(),
        settled(won=False),
        settled(lines=[WON, {**LOST, "line_id": 2}]),
        settled(discount_amount=0, skip_publishing=False),
        event("open@1", **ROUND),
        event("win@1", **ROUND),
        event("refund@1", player_id="", game=" ", price=500),
        event("lost@1", net_payout=0),
        event("win@1", net_payout=1),
        event("void@1", **{**MONEY, "net_payout": 0}),
        event("refund@1", price=500, net_payout=500),
    ],
)
@pytest.mark.parametrize("terms", [PAM, SEAMLESS])
def test_what_agrees_with_itself_is_applied_without_a_word(published, terms):
    decision = decided(published, terms, standing="open")

    assert decision.outcome == "applied"
    assert "doubtful" not in (decision.message or "")


@pytest.mark.parametrize("terms", [PAM, SEAMLESS])
@pytest.mark.parametrize(
    "facts", [{}, {"lines": [{"line_id": 1, "numbers": [1], "is_free_bet": True}], "amount": 0}]
)
def test_so_is_a_bet(terms, facts):
    decision = decided(accepted(bet(**facts)), terms, standing="absent")

    assert decision == ("applied", None, None)


@pytest.mark.parametrize(
    ("published", "doubt"),
    [
        (event("win@1", price=300, net_payout=900), "price is 300, but the ticket was opened with"),
        (
            event("lost@1", price=300, net_payout=0),
            "price is 300, but the ticket was opened with 500",
        ),
        (
            event("win@1", game_id="other"),
            "game_id is 'other', but the ticket was opened with 'GH'",
        ),
        (
            event("open@1", price=300),
            "price is 300, but the ticket was opened with 500, which stays",
        ),
        (
            event("open@1", net_payout=9),
            "net_payout is 9, but the ticket was opened with 1200, which",
        ),
    ],
)
def test_what_a_wallet_is_not_sent_is_a_doubt(published, doubt):
    """It is sent the round as it was opened, whatever a later event says about it."""
    decision = decided(published, SEAMLESS)

    assert decision.outcome == "applied"
    assert f"doubtful: {doubt}" in (decision.message or "")


def test_a_doubt_stands_behind_what_else_is_said():
    decision = decided(accepted(bet(skip_publishing=True)))

    assert decision.message == (
        "adds details that were not known; the status stays; "
        "doubtful: skip_publishing is true, but it was published"
    )


@pytest.mark.parametrize(
    ("published", "problem"),
    [
        (settled(amount=0), "won, but the payout is 0"),
        (event("win@1", net_payout=0), "won, but the payout is 0"),
        (event("lost@1", net_payout=900), "lost, but net_payout is 900"),
        (
            event("refund@1", net_payout=400),
            "refunded, but net_payout is 400 and the price 500",
        ),
        (event("refund@1", price=300), "refunded, but the price is 300 and the ticket's 500"),
        (
            event("void@1", **NO_MONEY | {"price": 300}),
            "void, but the price is 300 and the ticket's 500",
        ),
        *(
            (
                event(published, player_id="other"),
                "it is for another player than the ticket was opened for",
            )
            for published in ("win@1", "lost@1", "void@1", "refund@1", "open@1")
        ),
        (settled(won=False, amount=2400), "the amount is 2400, but no line has won"),
        (settled(user_id="52530"), "it is for another player than the ticket was opened for"),
        (
            settled(won=False, user_id="52530"),
            "it is for another player than the ticket was opened for",
        ),
    ],
)
def test_a_wallet_takes_nothing_back_so_that_a_contradiction_is_refused(published, problem):
    state = ticket("open", SEAMLESS)

    assert decide(state, published) == ("rejected", "contradictory", problem)
    assert state.status is Status.OPEN
    assert decide(state, settled()).outcome == "applied"


def test_a_win_without_a_payout_of_its_own_pays_nothing_where_none_was_known():
    """Contracts 1.7: a superbet is placed with payouts of 0."""
    state = ticket("open", SEAMLESS)
    state.details["net_payout"] = 0

    assert decide(state, event("win@1"))[:2] == ("rejected", "contradictory")
    assert decide(state, event("win@2", net_payout=900)).outcome == "applied"


def test_a_lost_ticket_may_repeat_what_it_might_have_paid():
    decision = decided(event("lost@1", net_payout=ROUND["net_payout"]), SEAMLESS)

    assert (decision.outcome, decision.message) == (
        "applied",
        f"doubtful: lost, but net_payout is {ROUND['net_payout']}",
    )


def test_a_lost_settlement_may_name_the_price_as_the_vendor_s_page_has_it():
    """Contracts 3.4: the table calls `amount` what the ticket was bought for."""
    decision = decided(settled(won=False, amount=5), SEAMLESS)

    assert decision.outcome == "applied"
    assert decision.message == ("doubtful: the amount is 5, but no line has won: nothing is paid")


ANY = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(
    st.sampled_from(["Bet", "Settlement"]),
    st.sampled_from(["win@2", "lost@2", "open@2", "refund@2"]),
    st.dictionaries(
        st.sampled_from(
            ["amount", "lines", "currency", "draw_date", "user_id", "discount_amount", "draw_id"]
        ),
        ANY,
    ),
)
def test_whatever_stands_where_a_lottery_message_does_is_no_mistake_of_ours(kind, notation, facts):
    """An event in the stream's own format may have a field of that name."""
    for terms in (PAM, SEAMLESS):
        published = event(notation, lottery={**facts, "type": kind}, net_payout=1)
        assert decided(published, terms).outcome in ("applied", "rejected")
