"""The delivery loop on a real database and real sockets: what is due goes out, and is recorded."""

import json
from datetime import timedelta

from models.operators import rotate_secret
from models.operators.interventions import Person
from models.platform.signing import sign
from producers.simulation.partner import (
    CloseWithoutAnswer,
    HugeBody,
    Respond,
    Rule,
)
from tests.support.delivery_setup import RUN_MAX, SECRET, received

FIRST_PAUSE = timedelta(seconds=10)


def test_a_result_becomes_one_signed_post_and_starts_the_clock(delivery, partner, acme, clock):
    """Contracts 1.3; rule 16."""
    delivery.publish(acme, ("ticket_win", "1330556611374148608"))

    run = delivery.deliver()

    assert run.counts == {"claimed": 1, "delivered": 1}
    (entry,) = partner.ledger.entries()
    assert entry.signature_ok
    assert entry.taken
    assert entry.idempotency_key == "acme/1330556611374148608/ticket_win/1"
    assert entry.body == (
        b'{"action":"ticket_win","data":{"operator":"acme","ticket_id":"1330556611374148608"}}'
    )
    assert dict(entry.headers)["timestamp"] == str(int(clock.now().timestamp()))
    assert dict(entry.headers)["content-type"] == "application/json"
    (ticket,) = delivery.rows("SELECT close_due_at FROM ticket")
    assert ticket.close_due_at == clock.now() + timedelta(hours=24)
    (attempt,) = delivery.attempts("verdict, http_status, problem")
    assert attempt == ("delivered", 200, None)


def test_the_notices_of_a_ticket_go_out_one_after_the_other(delivery, partner, acme):
    """Rule 12."""
    actions = ("ticket_win", "ticket_rollback", "ticket_lost", "ticket_rollback", "ticket_win")
    tickets = [f"ticket-{number}" for number in range(20)]
    for action in actions:
        delivery.publish(acme, *((action, ticket) for ticket in tickets))

    run = delivery.deliver()

    assert run.counts["delivered"] == 100
    for ticket in tickets:
        assert [action for action, of in received(partner) if of == ticket] == list(actions)


def test_what_failed_goes_out_again_and_the_clock_runs_from_its_delivery(
    delivery, partner, acme, clock
):
    """Rule 16: 24 hours run from the partner's successful response."""
    partner.behave(Rule(Respond(status=503), first=1))
    delivery.publish(acme, ("ticket_win", "t"))

    assert delivery.deliver().counts == {"claimed": 1, "again": 1}
    clock.advance(FIRST_PAUSE - timedelta(milliseconds=1))
    assert delivery.deliver().counts == {}
    clock.advance(timedelta(milliseconds=1))
    assert delivery.deliver().counts == {"claimed": 1, "delivered": 1}

    first, repeat = partner.ledger.entries()
    assert repeat.body == first.body
    assert repeat.idempotency_key == first.idempotency_key
    assert repeat.signature_ok
    assert dict(repeat.headers)["signature"] != dict(first.headers)["signature"]
    (ticket,) = delivery.rows("SELECT close_due_at FROM ticket")
    assert ticket.close_due_at == clock.now() + timedelta(hours=24)


def test_retry_after_puts_the_next_attempt_off(delivery, partner, acme, clock):
    partner.behave(Rule(Respond(status=429, headers=(("Retry-After", "90"),)), first=1))
    delivery.publish(acme, ("ticket_lost", "t"))
    delivery.deliver()

    (notice,) = delivery.rows("SELECT due_at FROM notice")

    assert notice.due_at == clock.now() + timedelta(seconds=90)


def test_a_refused_notice_is_dead_with_the_partners_words_and_holds_its_ticket(
    delivery, partner, acme
):
    """Rule 12: a dead head blocks."""
    partner.behave(Rule(Respond(status=404, body=b'{"message":"unknown\x00ticket"}')))
    delivery.publish(acme, ("ticket_win", "t"), ("ticket_rollback", "t"))

    assert delivery.deliver().counts == {"claimed": 1, "dead": 1}

    (attempt,) = delivery.rows("SELECT verdict, http_status, answer, problem FROM delivery_attempt")
    assert attempt == ("dead", 404, '{"message":"unknown\ufffdticket"}', "answered 404")
    assert received(partner) == [("ticket_win", "t")]
    assert delivery.deliver().counts == {}


def test_silence_is_kept_for_the_grace_and_the_notice_marked(delivery, partner, acme, clock):
    """Rule 15."""
    partner.behave(Rule(CloseWithoutAnswer(taken=True), first=1))
    delivery.publish(acme, ("ticket_win", "t"), ("ticket_rollback", "t"))

    assert delivery.deliver().counts == {"claimed": 1, "unanswered": 1}

    (win, _) = delivery.rows("SELECT perhaps_delivered, quiet_until FROM notice ORDER BY number")
    assert win.perhaps_delivered
    assert win.quiet_until == clock.now() + timedelta(seconds=10)
    clock.advance(FIRST_PAUSE)
    assert delivery.deliver().counts == {"claimed": 2, "delivered": 2}
    assert [action for action, _ in received(partner)] == [
        "ticket_win",
        "ticket_win",
        "ticket_rollback",
    ]


def test_a_huge_answer_delivers(delivery, partner, acme):
    partner.behave(Rule(HugeBody()))
    delivery.publish(acme, ("ticket_win", "t"))

    assert delivery.deliver().counts == {"claimed": 1, "delivered": 1}


def test_a_disabled_operator_s_notices_are_held_and_go_out_when_enabled(delivery, partner, acme):
    now = [0.0]
    loop = delivery.delivery_loop(monotonic=lambda: now[0])
    delivery.publish(acme, ("ticket_win", "t"))
    delivery.change("UPDATE operator SET disabled_at = now()")

    held = loop.run(lasting=RUN_MAX).counts
    delivery.change("UPDATE operator SET disabled_at = NULL")
    now[0] += 1.0

    assert held == {}
    assert loop.run(lasting=RUN_MAX).counts == {"claimed": 1, "delivered": 1}


def test_a_partner_that_cannot_be_signed_for_says_so_and_harms_no_other(
    delivery, partner, acme, caplog
):
    delivery.operator("sealed", partner.url)
    delivery.change("UPDATE operator SET secret = 'damaged' WHERE code = 'sealed'")
    delivery.publish("sealed", ("ticket_win", "s"))
    delivery.publish(acme, ("ticket_win", "t"))

    run = delivery.deliver()

    assert run.counts == {"claimed": 2, "delivered": 1, "again": 1}
    assert received(partner) == [("ticket_win", "t")]
    (attempt,) = delivery.rows("SELECT problem FROM delivery_attempt WHERE verdict = 'again'")
    assert attempt.problem.startswith("its secret cannot be decrypted")
    (unusable,) = [record for record in caplog.records if record.message == "partner_unusable"]
    assert unusable.__dict__["operator"] == "sealed"


def test_a_wrong_secret_kills_nothing(delivery, partner, acme):
    """A dead letter needs proof, and a 403 is none."""
    delivery.change(
        "UPDATE operator SET secret = :sealed", sealed=delivery.vault.encrypt("another")
    )
    delivery.publish(acme, ("ticket_win", "t"))

    assert delivery.deliver().counts == {"claimed": 1, "again": 1}

    (entry,) = partner.ledger.entries()
    assert entry.signature_ok is False


def test_the_secret_of_the_moment_signs(delivery, partner, acme, clock):
    """The old one signs until the switch, then the new one does."""
    now = clock.now()
    with delivery.engine.begin() as connection:
        rotate_secret(
            connection,
            acme,
            "the-new-secret-of-acme",
            switch_at=now + timedelta(minutes=1),
            forget_at=now + timedelta(minutes=2),
            now=now,
            vault=delivery.vault,
            person=Person("test", "needed"),
        )
    seconds = [0.0]
    loop = delivery.delivery_loop(monotonic=lambda: seconds[0])

    for ticket in ("before", "after"):
        delivery.publish(acme, ("ticket_win", ticket))
        loop.run(lasting=RUN_MAX)
        clock.advance(timedelta(minutes=1))
        seconds[0] += 60.0

    before, after = partner.ledger.entries()
    assert before.signature_ok
    stamped = int(dict(after.headers)["timestamp"])
    signature = sign(after.body, timestamp=stamped, secret="the-new-secret-of-acme")
    assert dict(after.headers)["signature"] == signature


def test_nothing_secret_is_logged(delivery, partner, acme, caplog):
    caplog.set_level("DEBUG")
    partner.behave(Rule(Respond(status=400, body=b"your secret is wrong")))
    delivery.publish(acme, ("ticket_win", "t"))

    delivery.deliver()

    logged = json.dumps([record.__dict__ for record in caplog.records], default=str)
    (entry,) = partner.ledger.entries()
    assert "notices_not_delivered" in logged
    for secret in (SECRET, dict(entry.headers)["signature"], "your secret is wrong"):
        assert secret not in logged
