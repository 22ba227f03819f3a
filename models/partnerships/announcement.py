"""Says in sentences what the end of a partnership would end, before a person confirms it."""

from models.partnerships.counts import COUNTED_MAX, PartnershipCounts


def announcement(code: str, counts: PartnershipCounts) -> list[str]:
    """Return in sentences what the end of the partnership would end."""
    unended = count_words(counts.tickets, "ticket")
    waiting, dead = count_words(counts.waiting, "ticket"), count_words(counts.dead, "dead notice")
    lines = [
        f"the end of the partnership with {code} is final; its code is not free again",
        f"{unended} not ended yet: one with a result closes unsent, another is cancelled",
        f"{waiting} with notices to be sent, {dead}: all are skipped (partner_ended)",
    ]
    if counts.in_flight:
        lines.append(
            f"{count_words(counts.in_flight, 'notice')} being sent now: what the partner answers"
            " will count for nothing; to wait for it, first disable the operator"
            f" (`slipway operators disable {code}`)"
        )
    return lines


def count_words(count: int, what: str) -> str:
    """Return `1 ticket`, `5 tickets`, or `100,000+ tickets` where counting stopped."""
    more = "+" if count >= COUNTED_MAX else ""
    return f"{count:,}{more} {what}{'' if count == 1 else 's'}"
