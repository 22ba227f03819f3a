"""Two delivery processes of the Procfile and one partner: what the rules promise between them.

Each test names its rule. The leases are real ones that run out in real time, after
6 s; the silence after a call without an answer is set to 3 s. Both start once for all tests, and
`parted` plays the longest story once: what each rule makes of it, a test of its own says.
"""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from producers.simulation.partner import CloseWithoutAnswer, Respond, Rule
from tests.support import databases
from tests.support.command_line import CommandLine
from tests.support.deliver_pair import Pair, deliver_pair
from tests.support.delivery_setup import KEY
from tests.support.split_network import LATE, PARTED, REFUSED, NetworkRecords, Parted, part

pytestmark = pytest.mark.slow

GRACE = timedelta(seconds=3)
SETTINGS = {
    "partner_timeout": "2s",
    "partner_connect_timeout": "1s",
    "partner_grace": "3s",
    "lease_margin": "4s",  # a lease of 6 s, of which a call and the silence after it need 5 s
    "retry_schedule": "500ms",
    "retry_jitter": "0",
    "in_flight_max": "16",  # one partner gets half of it: then the other process has work too
}
CLOSE_DELAY = timedelta(hours=24)
WHY = ("--why", "as agreed", "--by", "anna")


@pytest.fixture(scope="module")
def pair(tmp_path_factory, servers, template, database_names) -> Iterator[Pair]:
    """Both processes, on a database of the module's own."""
    name = next(database_names)
    url = databases.create(servers.database_url, name, template=template)
    with deliver_pair(servers, url, tmp_path_factory.mktemp("pair"), SETTINGS) as made:
        yield made
    databases.drop(servers.database_url, name)


@pytest.fixture(scope="module")
def parted(pair: Pair) -> Parted:
    """One is cut off from the database with answers in hand; the other, frozen, has a lease."""
    return part(pair)


@pytest.fixture
def slipway(pair, monkeypatch, capsys, servers) -> CommandLine:
    line = CommandLine(monkeypatch, capsys)
    url = databases.address_of(pair.delivery.engine)
    line.export(database_url=url, redis_url=servers.redis_url, secret_key=KEY)
    return line


def test_rule_12_whichever_process_delivers_a_ticket_s_notices_go_out_in_order(pair):
    """Only the oldest unfinished one is claimed; one that fails for now holds its followers."""
    story = ["win", "rollback", "lost", "rollback", "win"]
    tickets = [f"t{number}" for number in range(12)]  # fewer failures than open a circuit
    pair.partner.behave(Rule(Respond(seconds=0.1)))
    pair.partner.behave(Rule(Respond(status=503), first=1, per_ticket=True))
    pair.publish(*story, tickets=tickets)

    pair.wait_for(lambda: set(pair.ends(*tickets)) == {"delivered"})
    pair.partner.behave_well()

    for ticket in tickets:
        assert pair.sent_about(ticket) == ["win", *story]
    for deliverer in (pair.first, pair.second):
        assert {ticket for ticket, _, _ in deliverer.sent()} & set(tickets), "it took part"


def test_rule_12_a_dead_head_blocks_its_ticket(parted):
    assert parted.between.ends("revived", "doubtful") == ["dead", None, "dead", None]
    assert parted.end.ends("doubtful") == ["dead", None]
    assert parted.sent_about("doubtful") == ["win", "win"]


def test_rule_13_notice_attempt_ticket_and_head_are_written_by_one_transaction(parted):
    """By the process that was away; the follower is the head now, and waits."""
    win, rollback = parted.after.notices("held")

    assert (win.ended, win.head, rollback.ended, rollback.head) == ("delivered", False, None, True)
    writers = {
        win.written_by,
        rollback.written_by,
        parted.after.tickets["held"].written_by,
        parted.after.attempts("held")["held", 1].written_by,
    }
    assert len(writers) == 1


def test_rule_14_a_late_200_after_a_lost_lease_counts_after_the_409_to_its_repeat(parted):
    """Protocol H33: else a known success would be thrown away and its notice dead."""
    assert parted.between.attempts("revived")["revived", 2].verdict == "dead"
    assert parted.after.ends("revived")[0] == "delivered"
    assert parted.verdicts("revived") == ["delivered", "dead"]
    assert parted.sent_about("revived") == ["win", "win", "rollback"]


def test_rule_14_after_a_late_200_the_follower_waits_until_the_other_lease_is_over(parted):
    """Protocol H35: a process that is frozen with the call may still be sending it."""
    leased_until = parted.between.notices("held")[0].leased_until
    _, rollback = parted.after.notices("held")
    *_, follower = parted.calls["held"]

    assert rollback.due_at == leased_until
    assert follower.received_at >= leased_until
    assert parted.sent_about("held") == ["win", "win", "rollback"]


def test_rule_14_a_late_failure_changes_nothing(parted):
    """The first one's call had no answer, and its lease was lost; so it was with the frozen one."""
    assert parted.verdicts("doubtful") == ["unanswered", "dead"]
    assert parted.end.notices("doubtful") == parted.between.notices("doubtful")
    assert parted.verdicts("held") == ["delivered", "unanswered"]
    assert parted.end.ends("held") == ["delivered", "delivered"]


@pytest.mark.parametrize("ticket", PARTED)
def test_rule_14_the_repeat_after_a_lost_lease_is_the_other_s_and_has_the_same_bytes(
    parted, ticket
):
    """A partner that deduplicates by the idempotency key acts upon it once."""
    first, repeat, *_ = parted.calls[ticket]

    assert (ticket, "ticket_win", 1) in parted.pair.first.sent()
    assert (ticket, "ticket_win", 2) in parted.pair.second.sent()
    assert (repeat.body, repeat.idempotency_key) == (first.body, first.idempotency_key)
    assert repeat.signature_ok
    taken = [call.action for call in parted.calls[ticket] if call.taken]
    assert taken.count("ticket_win") == 1


def test_rule_15_a_late_200_leaves_the_follower_held_since_the_call_whose_answer_was_lost(parted):
    """Protocol H35: the request without an answer may still be at work over there."""
    lost = parted.end.attempts("unheard")["unheard", 2]
    _, rollback = parted.after.notices("unheard")
    *_, follower = parted.calls["unheard"]

    assert parted.verdicts("unheard") == ["delivered", "unanswered"]
    assert rollback.due_at == lost.recorded_at + GRACE
    assert follower.received_at >= lost.recorded_at + GRACE
    assert parted.sent_about("unheard") == ["win", "win", "rollback"]


def test_rule_15_after_a_lost_answer_neither_process_sends_anything_on_the_ticket(pair):
    """Then the same again, and its follower at once: the pause of the schedule is shorter."""
    pair.answers("lost", CloseWithoutAnswer(taken=True))
    pair.publish("win", "rollback", tickets=["lost"])
    pair.wait_for(lambda: pair.ends("lost") == ["delivered", "delivered"])

    lost = NetworkRecords(pair).attempts("lost")["lost", 1]
    win, _ = NetworkRecords(pair).notices("lost")
    first, repeat, _ = pair.calls("lost")
    assert win.perhaps_delivered
    assert win.due_at == lost.recorded_at + GRACE
    assert repeat.received_at >= lost.recorded_at + GRACE
    assert pair.sent_about("lost") == ["win", "win", "rollback"]
    assert repeat.body == first.body
    assert (first.taken, repeat.taken, repeat.repeats) == (True, False, True)


def test_rule_16_the_clock_runs_from_the_success_that_was_recorded_first(parted):
    """The repeat's; the late 200 of the first call finds it delivered."""
    first, second = (attempt for _, attempt in sorted(parted.end.attempts("clocked").items()))

    assert (first.verdict, second.verdict) == ("delivered", "delivered")
    assert first.recorded_at > second.recorded_at
    assert parted.end.tickets["clocked"].close_due_at == second.recorded_at + CLOSE_DELAY


def test_rule_16_the_success_of_a_result_that_was_withdrawn_meanwhile_starts_no_clock(pair):
    """H32: by generation; the current result has not been delivered yet."""
    pair.answers("withdrawn", LATE, REFUSED)
    pair.publish("win", tickets=["withdrawn"])
    pair.wait_for(lambda: pair.sent_about("withdrawn") == ["win"])
    pair.publish("rollback", "win", tickets=["withdrawn"])
    assert pair.ends("withdrawn") == [None, None, None]

    pair.wait_for(lambda: pair.ends("withdrawn") == ["delivered", "dead", None])

    assert NetworkRecords(pair).tickets["withdrawn"].close_due_at is None


def test_rule_18_what_was_perhaps_delivered_goes_on_by_one_of_two_words_alone(parted, slipway):
    """Its first call was never answered, its repeat was refused: only the partner knows."""
    pair, (win, _) = parted.pair, parted.end.notices("doubtful")
    assert win.perhaps_delivered

    wordless = slipway("notices", "dead", "skip", str(win.id), *WHY)
    blocked = pair.sent_about("doubtful")
    ended = slipway("notices", "dead", "skip", str(win.id), "--delivered", *WHY)
    pair.wait_for(lambda: pair.ends("doubtful") == ["delivered", "delivered"])

    assert wordless.code == 2
    assert "--delivered (the partner has it) or --not-delivered" in wordless.err
    assert blocked == ["win", "win"]
    assert ended.code == 0
    assert pair.sent_about("doubtful") == ["win", "win", "rollback"]


def test_rule_18_a_dead_notice_is_sent_again_or_skipped_by_a_person_s_word(pair, slipway):
    """A retry is an attempt like any other; a skipped result takes its rollback along."""
    for ticket in ("again", "skipped"):
        pair.answers(ticket, REFUSED)
    pair.publish("win", tickets=["again"])
    pair.publish("win", "rollback", "lost", tickets=["skipped"])
    pair.wait_for(lambda: pair.ends("again", "skipped") == ["dead", "dead", None, None])
    again, skipped, *_ = (
        str(process.id) for process in NetworkRecords(pair).notices("again", "skipped")
    )

    before = pair.present()
    codes = [
        slipway("notices", "dead", "retry", again, *WHY).code,
        slipway("notices", "dead", "skip", skipped, "--not-delivered", *WHY).code,
    ]
    pair.wait_for(lambda: pair.ends("again") == ["delivered"])
    pair.wait_for(lambda: pair.ends("skipped") == ["skipped", "withdrawn", "delivered"])

    assert codes == [0, 0]
    assert pair.sent_about("again") == ["win", "win"]
    assert pair.sent_about("skipped") == ["win", "lost"]
    for ticket in ("again", "skipped"):
        due = NetworkRecords(pair).tickets[ticket].close_due_at
        assert before + CLOSE_DELAY <= due <= pair.present() + CLOSE_DELAY


def test_rules_12_to_18_let_the_partner_act_upon_each_notice_once_and_in_order(parted):
    """Over all that these two have sent."""
    partner = parted.pair.partner
    verdict = partner.verdict(close_delay=CLOSE_DELAY, complete=False)
    taken = [entry.idempotency_key for entry in partner.ledger.entries() if entry.taken]

    assert verdict.repeats
    assert (verdict.legal, verdict.late_repeats, verdict.changed_repeats) == (True, 0, 0)
    assert len(set(taken)) == len(taken)
