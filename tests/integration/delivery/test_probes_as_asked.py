"""A partner that is down and announces until when: no probe before that, over real sockets."""

from datetime import timedelta

from producers.simulation.partner import Respond, Rule

SECOND = timedelta(seconds=1)


def down_for(seconds: int) -> Respond:
    return Respond(503, headers=(("Retry-After", str(seconds)),))


def test_no_probe_goes_out_before_retry_after_is_over(delivery, partner, acme, clock):
    """90 s after the responses that opened the circuit, then 40 s after its probe."""
    names = [f"t{number}" for number in range(24)]
    delivery.publish(acme, *(("ticket_win", name) for name in names))
    partner.behave(Rule(down_for(40), first=1))
    partner.behave(Rule(down_for(90), first=len(names)))
    assert delivery.deliver().counts == {"claimed": 24, "again": 24}
    (circuit,) = delivery.rows("SELECT opened_at, closed_at, reason FROM circuit")
    assert (circuit.opened_at, circuit.closed_at) == (clock.now(), None)

    counts = []
    for pause in (89 * SECOND, 2 * SECOND, 39 * SECOND, 2 * SECOND):
        clock.advance(pause)
        counts.append(dict(delivery.deliver().counts))

    first_probe, second_probe = counts[1], counts[3]
    assert (counts[0], counts[2]) == ({}, {})
    assert first_probe == {"claimed": 1, "again": 1}
    assert second_probe["delivered"] >= 1
