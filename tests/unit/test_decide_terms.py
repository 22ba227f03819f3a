"""What depends on the operator's terms and protocol, and what a decision leaves behind.

Sources: rules 11 and 18, contracts 1.4, 2.2 and 5.4.
"""

import pytest

from models.lifecycle.decide import decide
from models.lifecycle.ticket import TicketState
from models.vocabulary import Action, Status
from tests.support.decisions import check, decided, notices_of, rows
from tests.support.tickets import ANNOUNCING, MONEY, PAM, ROUND, SEAMLESS, at, event, ticket

ANNOUNCED = rows("""
 machine  | absent | open@2     | applied | -                | open      | -
 machine  | absent | create@2   | applied | -                | new       | create/0
 machine  | absent | reserve@2  | applied | -                | new       | reserve/0
 machine  | absent | win@2      | parked  | waits_for_ticket | =         | -
 machine  | absent | lost@2     | parked  | waits_for_ticket | =         | -
 machine  | absent | lost*@2    | parked  | waits_for_ticket | =         | -
 machine  | absent | void500@2  | parked  | waits_for_ticket | =         | -
 machine  | absent | refund@2   | parked  | waits_for_ticket | =         | -
 machine  | absent | rollback@2 | parked  | waits_for_ticket | =         | -
 rule 11  | absent | discard@2  | applied | -                | cancelled | discard/0
 rule 6   | open   | win@2      | applied | -                | won@2     | win/1
""")

WALLET = rows("""
 contracts 2.2 | absent | create@2   | rejected | no_such_call     | =           | -
 contracts 2.2 | absent | reserve@2  | rejected | no_such_call     | =           | -
 contracts 2.2 | absent | discard@2  | rejected | no_such_call     | =           | -
 contracts 2.2 | absent | update@2   | rejected | no_such_call     | =           | -
 contracts 2.2 | open   | update@2   | rejected | no_such_call     | =           | -
 contracts 2.2 | open   | discard@2  | rejected | no_such_call     | =           | -
 contracts 2.2 | absent | open@2     | rejected | missing_fields   | =           | -
 machine       | absent | win@2      | parked   | waits_for_ticket | =           | -
 machine       | absent | win900@2   | parked   | waits_for_ticket | =           | -
 machine       | absent | lost@2     | parked   | waits_for_ticket | =           | -
 machine       | absent | void300@2  | parked   | waits_for_ticket | =           | -
 machine       | absent | rollback@2 | parked   | waits_for_ticket | =           | -
 machine       | open   | win@2      | applied  | -                | won@2       | win/1
 machine       | open   | win900@2   | applied  | -                | won900@2    | win/1
 machine       | open   | lost@2     | applied  | -                | lost@2      | lost/1
 machine       | open   | void300@2  | applied  | -                | void300@2   | void/1
 machine       | open   | refund@2   | applied  | -                | refunded@2  | refund/1
 machine       | won@1  | rollback@2 | applied  | -                | open@2      | rollback/1
 rule 7        | closed@1 | create@2 | rejected | ticket_closed    | =           | -
""")


@pytest.mark.parametrize("row", ANNOUNCED, ids=str)
def test_an_announced_ticket_is_waited_for(row):
    check(row, terms=ANNOUNCING)


@pytest.mark.parametrize("row", WALLET, ids=str)
def test_a_seamless_wallet_gets_what_it_has_a_call_for(row):
    check(row, terms=SEAMLESS)


@pytest.mark.parametrize("missing", ["player_id", "price", "currency", "game", "game_id"])
def test_a_wallet_s_ticket_is_opened_with_what_its_payout_will_need(missing):
    """Contracts 2.2: username, amounts, currency, game and gameId."""
    facts = {name: value for name, value in ROUND.items() if name != missing}

    decision = decide(ticket("absent", SEAMLESS), event("open@1", **facts))

    assert decision.reason == "missing_fields"
    assert decision.message == f"ticket_open for a seamless operator needs data.{missing}"


@pytest.mark.parametrize("empty", ["player_id", "game", "game_id"])
@pytest.mark.parametrize("text", ["", " ", "\t \n"])
def test_a_fact_without_a_character_is_none(empty, text):
    """`game` may hold spaces, and nothing but spaces says nothing."""
    decision = decide(ticket("absent", SEAMLESS), event("open@1", **(ROUND | {empty: text})))

    assert decision.reason == "missing_fields"
    assert decision.message == f"ticket_open for a seamless operator needs data.{empty}"


def test_a_late_open_with_an_empty_fact_leaves_room_for_the_true_one():
    state = ticket("open")
    decide(state, event("open@2", psp=""))
    decide(state, event("open'@3", psp="mobile"))

    assert state.facts["psp"] == "mobile"


def test_a_void_with_an_empty_kind_of_tax_is_refused():
    decision = decide(ticket("open"), event("void500@2", ext_type=""))

    assert decision.message == "ticket_void for a pam operator needs data.ext_type"


def test_a_wallet_s_win_brings_its_payout_or_finds_it_on_the_ticket():
    state = ticket("absent", SEAMLESS)
    placed = {name: value for name, value in ROUND.items() if name != "net_payout"}
    decide(state, event("open@1", **placed))

    assert decided(state, event("win@2")) == ("rejected", "missing_fields")

    assert decided(state, event("open'@3", net_payout=900)) == ("applied", "late_open")
    assert decided(state, event("win'@4")) == ("applied", None)


@pytest.mark.parametrize("other", [name for name in MONEY if name != "net_payout"])
@pytest.mark.parametrize("result", ["win", "lost", "void", "refund"])
@pytest.mark.parametrize("status", ["absent", "open", "won@1"])
def test_other_amounts_of_a_wallet_s_result_do_not_stand_for_its_payout(status, result, other):
    """It would be paid what the ticket says, although the result says something else."""
    if other == "price" and result != "win":
        other = "stake"
    state = ticket(status, SEAMLESS)
    given = {**dict.fromkeys(MONEY), other: MONEY[other]}

    decision = decide(state, event(f"{result}@2", **given))

    assert (decision.outcome, decision.reason) == ("rejected", "missing_fields")
    assert decision.message == (
        f"ticket_{result} for a seamless operator has data.{other}, but not data.net_payout,"
        " which is what a wallet is paid: send it, or no amounts at all"
    )
    assert state == ticket(status, SEAMLESS)


@pytest.mark.parametrize("result", ["lost", "void", "refund"])
def test_what_was_debited_is_no_other_amount(result):
    """It belongs to the round, which a result that opens its ticket brings along."""
    state = ticket("open", SEAMLESS)
    given = {**dict.fromkeys(MONEY), "price": MONEY["price"]}

    assert decided(state, event(f"{result}@2", **given)) == ("applied", None)


def test_amounts_beside_a_wallet_s_payout_are_taken():
    state = ticket("open", SEAMLESS)

    assert decided(state, event("win@2", **MONEY)) == ("applied", None)


# --- a ticket has one currency --------------------------------------------------------------------


@pytest.mark.parametrize("terms", [PAM, ANNOUNCING, SEAMLESS])
@pytest.mark.parametrize("notation", ["win@2", "lost@2", "win*@2", "void500@2", "refund@2"])
@pytest.mark.parametrize("standing", ["open", "won900@1"])
def test_a_result_in_another_currency_than_the_ticket_is_refused(standing, notation, terms):
    """Its amount would be taken for the ticket's own money."""
    state = opened_in("EUR", ticket(standing, terms))

    decision = decide(state, event(notation, currency="JPY"))

    assert (decision.outcome, decision.reason) == ("rejected", "other_currency")
    assert decision.message == "currency: JPY where the ticket was opened in EUR"
    assert not state.new_notices


@pytest.mark.parametrize("terms", [PAM, ANNOUNCING, SEAMLESS])
def test_a_result_that_states_the_ticket_s_currency_is_one_that_omits_it(terms):
    state = opened_in("EUR", ticket("open", terms))

    assert decided(state, event("win900@2", currency="EUR")) == ("applied", None)
    assert decided(state, event("win900@3")) == ("confirmed", "same_result")
    assert decided(state, event("win900'@4", currency="EUR")) == ("confirmed", "same_result")
    assert decided(state, event("win900'@5", currency="USD")) == ("rejected", "other_currency")
    assert decided(state, event("win901@6", currency="EUR")) == ("parked", "waits_for_rollback")


def test_an_update_cannot_change_the_currency():
    state = opened_in("EUR", ticket("open"))

    assert decided(state, event("update@2", currency="USD")) == ("rejected", "other_currency")
    assert decided(state, event("update'@3")) == ("applied", None)


@pytest.mark.parametrize("opening", ["open", "create", "reserve"])
def test_an_opening_says_which_currency_the_ticket_is_in(opening):
    state = ticket("absent")
    decide(state, event(f"{opening}@1", currency="JPY"))

    assert state.currency == "JPY"
    assert decided(state, event("win@2", currency="EUR")) == ("rejected", "other_currency")


def test_a_late_opening_says_it_too_where_nothing_had():
    state = ticket("absent")
    decide(state, event("win900@2"))

    assert decided(state, event("open@1", currency="JPY")) == ("applied", "late_open")
    assert decided(state, event("win900@3", currency="EUR")) == ("rejected", "other_currency")
    assert decided(state, event("open'@1", currency="EUR")) == ("rejected", "other_currency")


def test_where_nothing_opened_the_ticket_the_currency_belongs_to_its_result():
    """Another one makes another result; once that is withdrawn, the next may be in any."""
    state = ticket("absent")
    assert decided(state, event("win900@1", currency="USD")) == ("applied", "opened_implicitly")

    assert decided(state, event("win900@2", currency="EUR")) == ("parked", "waits_for_rollback")
    assert decided(state, event("win900*@2", currency="EUR")) == ("applied", "correction")
    assert decided(state, event("win900'@2")) == ("confirmed", "same_result")
    assert decided(state, event("open@1", currency="USD")) == ("rejected", "other_currency")
    assert decided(state, event("rollback@3")) == ("applied", None)
    assert decided(state, event("win900@4", currency="USD")) == ("applied", None)


def test_a_repeat_that_names_the_currency_settles_which_one_it_is():
    state = ticket("absent")
    decide(state, event("win900@1"))

    assert decided(state, event("win900@2", currency="USD")) == ("confirmed", "same_result")
    assert decided(state, event("win900@3", currency="EUR")) == ("parked", "waits_for_rollback")
    assert decided(state, event("win900'@3", currency="USD")) == ("confirmed", "same_result")


def test_an_older_result_in_another_currency_differs():
    state = ticket("absent")
    decide(state, event("win900@2", currency="USD"))

    older = decided(state, event("win900@1", currency="EUR"))
    assert older == ("superseded", "older_differs")


def opened_in(currency: str, state: TicketState) -> TicketState:
    """The ticket as it is loaded: its details only where the protocol needs them."""
    state.opened_in = currency
    return state


@pytest.mark.parametrize("missing", MONEY)
@pytest.mark.parametrize("status", ["absent", "new", "open", "won@1"])
def test_a_void_without_its_amounts_is_refused_at_once(status, missing):
    """Contracts 1.4: the one result with money; nothing that comes later could bring it."""
    state = ticket(status)

    decision = decide(state, event("void500@2", **{missing: None}))

    assert (decision.outcome, decision.reason) == ("rejected", "missing_fields")
    assert decision.message == f"ticket_void for a pam operator needs data.{missing}"
    assert state == ticket(status)


def test_amounts_of_nothing_are_amounts():
    assert decided(ticket("open"), event("void@2", **dict.fromkeys(MONEY, 0))) == ("applied", None)


# --- updates: a time of their own (H8) ----------------------------------------------------------


def test_an_older_update_does_not_overwrite_a_newer_one():
    """H8: `update@3 | update@2`."""
    state = ticket("open")

    assert decided(state, event("update@3")) == ("applied", None)
    assert decided(state, event("update@2")) == ("superseded", "older_update")
    assert notices_of(state) == "update/1"


def test_an_update_of_the_same_moment_or_later_is_sent():
    state = ticket("open")
    for notation in ("update@3", "update'@3", "update@4"):
        assert decided(state, event(notation)) == ("applied", None)

    assert notices_of(state) == "update/1 update/2 update/3"


def test_an_update_older_than_the_slip_it_amends_is_superseded():
    state = ticket("absent")
    decide(state, event("open@3"))

    assert decided(state, event("update@2")) == ("superseded", "older_update")


def test_an_older_update_with_the_next_number_is_sent():
    """Rule 9: by the table alone, without times."""
    state = ticket("open")
    decide(state, event("update#1@3"))

    assert decided(state, event("update#2@2")) == ("applied", None)


def test_the_time_of_the_newest_update_only_grows():
    state = ticket("open")
    for notation in ("update#1@5", "update#2@3"):
        decide(state, event(notation))

    assert decided(state, event("update@4")) == ("superseded", "older_update")


def test_updates_and_results_do_not_compare_their_times():
    state = ticket("open@9")

    assert decided(state, event("update@3")) == ("applied", None)
    assert decided(state, event("win@9")) == ("applied", None)


# --- what a decision leaves behind --------------------------------------------------------------


def test_a_notice_remembers_what_caused_it():
    state = ticket("open")

    decide(state, event("win@2", shop="12"))

    (notice,) = state.new_notices
    assert (notice.event_id, notice.at) == ("win@2", at(2))
    assert notice.data["shop"] == "12"
    assert (notice.not_before, notice.withheld) == (None, False)


def test_a_correction_withdraws_with_a_reason_of_its_own():
    """A rollback has a `reason` (contracts 1.4), and a correction need not bring one."""
    state = ticket("won@1")
    decide(state, event("lost*@2"))
    assert state.new_notices[0].data == {"reason": "correction"}

    state = ticket("won@1")
    decide(state, event("lost*@2", reason="draw repeated"))
    assert state.new_notices[0].data == {"reason": "draw repeated"}


def test_a_rollback_of_what_the_partner_never_got_is_withheld():
    """Rule 18: a skipped result takes its rollback along, present or future."""
    state = ticket("won@1")
    state.untold = 1
    decide(state, event("rollback@2"))
    assert [notice.withheld for notice in state.new_notices] == [True]

    decide(state, event("lost@3"))
    decide(state, event("rollback@4"))
    assert [notice.withheld for notice in state.new_notices] == [True, False, False]


def test_a_repeated_result_leaves_the_clock_alone():
    """H3: nothing is sent, its time moves on."""
    state = ticket("won@1")
    due = state.close_due_at

    decide(state, event("win@9"))

    assert state.close_due_at == due is not None


def test_a_late_open_fills_in_what_is_missing_and_overwrites_nothing():
    """The fields of the opening are added where the ticket has none yet."""
    state = ticket("absent")
    decide(state, event("win@2"))
    decide(state, event("open@1", player_id="p1", atag=None))
    decide(state, event("open'@1", player_id="p2", shop="12"))

    assert state.filled == {"player_id": "p1", "shop": "12"}
    assert state.status is Status.RESULTED


def test_the_slip_is_kept_without_what_belongs_to_the_event_alone():
    state = ticket("absent")

    decide(state, event("create@1", reason="why", correction=False, psp=None))

    assert state.amended is not None
    assert state.amended["ticket_code"] == "CD4BDD"
    assert {"operator", "ticket_id", "reason", "correction", "psp"} & state.amended.keys() == set()


def test_a_tombstone_remembers_its_discard():
    state = ticket("absent")

    decide(state, event("discard@1"))

    assert state.cancelled_by == "ticket_discard discard@1"
    assert [notice.action for notice in state.new_notices] == [Action.DISCARD]
