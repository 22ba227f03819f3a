"""A partner that misbehaves, over real sockets and through the real delivery loop.

Each misbehaviour ends in its class, within the call's total time, and costs no memory.
"""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from models.outbox.attempts import ATTEMPTS
from producers.simulation.partner import (
    Behaviour,
    CloseWithoutAnswer,
    Drip,
    Habit,
    Hang,
    HangAfterAccept,
    HangMidBody,
    HugeBody,
    Respond,
    RespondAsWallet,
    Rule,
    SimulatedPartner,
    Wallet,
)
from tests.faults.fault_actions import A_FEW, odd_rules
from tests.support.delivery_setup import LATE, RUN_MAX, SECRET, DeliverySetup, delivery_setup_on
from tests.support.harness import SLIP
from tests.support.wallet_setup import settle

TIMEOUT = timedelta(seconds=2)  # long enough for what is answered, on a machine that is busy
SLACK_MS = 15_000  # for the same; what drips would take a hundred seconds
GROWTH_MAX = 32 * 1024 * 1024  # bytes: of 10 GiB nothing stays

# By what it is, for PAM: what the partner does, and the class it ends in. What was perhaps
# delivered is `unanswered`; what certainly was not, and may be later, is `again`.
PAM: dict[str, tuple[Behaviour, str]] = {
    "200": (Respond(), "delivered"),
    "201": (Respond(201), "delivered"),
    "a page of HTML": (Respond(body=b"<p>It works", content_type="text/html"), "delivered"),
    "answers, then closes": (Respond(then_close=True), "delivered"),
    "answers slowly": (Respond(seconds=0.2), "delivered"),
    "10 GB": (HugeBody(), "delivered"),  # the status came first, and PAM needs no body
    "400": (Respond(400), "dead"),
    "404, a page of HTML": (Respond(404, body=b"<p>?", content_type="text/html"), "dead"),
    "429": (Respond(429, headers=(("Retry-After", "30"),)), "again"),
    "500": (Respond(500), "again"),
    "a front end that gave up": (Respond(504), "unanswered"),
    "503, 10 GB": (Respond(503, body=b" " * 2_000_000), "again"),
    "a redirect loop": (Respond(307, headers=(("Location", "/"),)), "again"),
    "an answer too late": (LATE, "unanswered"),
    "never answers": (Hang(), "unanswered"),
    "half a body": (HangMidBody(), "unanswered"),
    "drips": (Drip(), "unanswered"),
    "closes": (CloseWithoutAnswer(), "unanswered"),
    "takes it and closes": (CloseWithoutAnswer(taken=True), "unanswered"),
    # Odd but lawful: no misbehaviour, so each is delivered, and by one call.
    "204": (Respond(204), "delivered"),
    "205": (Respond(205), "delivered"),
    **{habit.value: (Respond(body=b'{"ok":true}', habit=habit), "delivered") for habit in Habit},
}
# The same for a wallet, whose word counts and not its status.
WALLET: dict[str, tuple[Behaviour, str]] = {
    "code 0": (RespondAsWallet(), "delivered"),
    "code 0, 500": (RespondAsWallet(status=500), "delivered"),
    "another refId": (RespondAsWallet(ref_id="another"), "delivered"),
    "code 997": (RespondAsWallet(997), "dead"),
    "code 999": (RespondAsWallet(999), "again"),
    "code 0 too late": (RespondAsWallet(seconds=60.0), "unanswered"),
    "200 without a code": (Respond(), "unanswered"),
    "503 without a code": (Respond(503), "again"),
    "10 GB": (HugeBody(), "unanswered"),  # no code in what was read of it
    "a redirect loop": (Respond(307, headers=(("Location", "/"),)), "again"),
    "never answers": (Hang(), "unanswered"),
    "half a body": (HangMidBody(), "unanswered"),
    "drips": (Drip(), "unanswered"),
    "closes": (CloseWithoutAnswer(), "unanswered"),
    **{habit.value: (RespondAsWallet(habit=habit), "delivered") for habit in Habit},
}


@pytest.fixture
def delivery(engine, clock) -> Iterator[DeliverySetup]:
    with delivery_setup_on(engine, clock) as made:
        yield made


def deliver(delivery: DeliverySetup, *, timeout: timedelta = TIMEOUT) -> None:
    run = delivery.delivery_loop(partner_timeout=timeout).run(lasting=RUN_MAX)
    assert run is not None
    assert not run.more


def ends(delivery: DeliverySetup) -> dict[str, str]:
    """The class each ticket's attempt ended in."""
    rows = delivery.rows(
        f"SELECT t.ticket_id, a.verdict, a.took_ms FROM {ATTEMPTS} a"  # noqa: S608 - a constant
        " JOIN notice n ON n.id = a.notice JOIN ticket t ON t.id = n.ticket"
    )
    assert max(row.took_ms for row in rows) <= TIMEOUT / timedelta(milliseconds=1) + SLACK_MS
    return {row.ticket_id.replace("_", " "): row.verdict for row in rows}


def resident() -> int:
    """Bytes of memory this process, deliverer and partner, holds at the moment."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def misbehave(partner: SimulatedPartner, cases: dict[str, tuple[Behaviour, str]]) -> list[str]:
    """Give each case a ticket of its own, named like it."""
    names = [name.replace(" ", "_") for name in cases]
    for name, (behaviour, _) in zip(names, cases.values(), strict=True):
        partner.behave(Rule(behaviour, ticket_id=name))
    return names


def expected(cases: dict[str, tuple[Behaviour, str]]) -> dict[str, str]:
    return {name: verdict for name, (_, verdict) in cases.items()}


def test_every_misbehaviour_of_a_platform_ends_in_its_class(delivery, clock):
    with SimulatedPartner(secret=SECRET, now=clock.now) as partner:
        delivery.operator("acme", partner.url)
        names = misbehave(partner, PAM)
        delivery.publish("acme", *(("ticket_win", name) for name in names))
        before = resident()

        deliver(delivery)

        assert ends(delivery) == expected(PAM)
        assert resident() - before < GROWTH_MAX
        assert len(partner.ledger.entries()) == len(PAM), "no redirect is followed"


def test_every_misbehaviour_of_a_wallet_ends_in_its_class(delivery, clock):
    with SimulatedPartner(wallet=Wallet(SECRET), now=clock.now) as partner:
        delivery.operator("house", partner.url, protocol="seamless", agent="agentId")
        settle(delivery, "ticket_win", *misbehave(partner, WALLET))
        before = resident()

        deliver(delivery)

        assert ends(delivery) == expected(WALLET)
        assert resident() - before < GROWTH_MAX
        assert len(partner.ledger.entries()) == len(WALLET)


def test_a_partner_that_accepts_and_reads_nothing_is_given_up_in_time(delivery, clock):
    with SimulatedPartner(secret=SECRET, now=clock.now) as partner:
        delivery.operator("acme", partner.url)
        partner.behave(Rule(HangAfterAccept()))
        delivery.publish("acme", ("ticket_win", "t"))

        deliver(delivery)

        assert ends(delivery) == {"t": "unanswered"}


def test_once_it_behaves_again_the_partner_gets_every_undelivered_notice_once(delivery, clock):
    """At least once over the network, once at a partner that goes by the Idempotency-Key."""
    with SimulatedPartner(secret=SECRET, deduplicate=True, now=clock.now) as partner:
        delivery.operator("acme", partner.url)
        misbehaving = {name: case for name, case in PAM.items() if case[1] != "dead"}
        names = misbehave(partner, misbehaving)
        delivery.publish("acme", *(("ticket_win", name) for name in names))
        deliver(delivery)
        partner.behave_well()
        clock.advance(timedelta(minutes=2))

        deliver(delivery)

        taken = [entry.ticket_id for entry in partner.ledger.entries() if entry.taken]
        verdict = partner.verdict(close_delay=timedelta(hours=24), complete=False)
        assert sorted(map(str, taken)) == sorted(names)
        assert (verdict.illegal, verdict.changed_repeats) == (0, 0)


def test_whatever_form_its_answers_have_a_partner_gets_every_notice_once(delivery, clock):
    """Many tickets, of which each create, too, is answered in one form or another."""
    rules = list(odd_rules())
    tickets = [f"t{number}" for number in range(len(rules) * A_FEW // 2)]
    with SimulatedPartner(secret=SECRET, now=clock.now) as partner:
        delivery.operator("acme", partner.url)
        for rule in rules:
            partner.behave(rule)
        delivery.publish("acme", *(("ticket_create", ticket) for ticket in tickets), **SLIP)
        deliver(delivery, timeout=RUN_MAX)
        for number, ticket in enumerate(tickets):
            delivery.publish("acme", (("ticket_win", "ticket_lost")[number % 2], ticket))
        deliver(delivery, timeout=RUN_MAX)

        entries = partner.ledger.entries()
        forms = {getattr(entry.behaviour, "habit", None) for entry in entries}
        statuses = {entry.status for entry in entries}
        verdict = partner.verdict(close_delay=timedelta(hours=24), complete=False)

    assert len(entries) == len({entry.idempotency_key for entry in entries}) == 2 * len(tickets)
    assert (forms, statuses) == ({None, *Habit}, {200, 204, 205})
    assert verdict.legal
    ended = delivery.rows("SELECT DISTINCT ended, tries, perhaps_delivered FROM notice")
    assert [tuple(row) for row in ended] == [("delivered", 1, False)]
    assert {row.status for row in delivery.rows("SELECT status FROM ticket")} == {"resulted"}
