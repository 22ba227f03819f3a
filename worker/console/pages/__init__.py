"""The pages, one module each, with its `routes`. Add yours to `ROUTES`."""

from typing import Final

from fastapi import APIRouter

from worker.console.pages import (
    erasures,
    event,
    events,
    history,
    home,
    jobs,
    notices,
    outgoing_contract,
    partner,
    partner_access,
    partner_ending,
    partner_pings,
    partner_secret,
    partner_sending,
    partner_terms,
    partners,
    resolve_events,
    resolve_notices,
    system,
    theme,
    ticket,
    ticket_acts,
    ticket_attempt,
)

ROUTES: Final[tuple[APIRouter, ...]] = (
    home.routes,
    notices.routes,
    resolve_notices.routes,
    jobs.routes,
    partners.routes,
    partner.routes,
    partner_pings.routes,
    partner_terms.routes,
    partner_secret.routes,
    partner_access.routes,
    partner_sending.routes,
    partner_ending.routes,
    outgoing_contract.routes,
    erasures.routes,
    system.routes,
    events.routes,
    event.routes,
    resolve_events.routes,
    history.routes,
    theme.routes,
    ticket.routes,
    ticket_acts.routes,
    ticket_attempt.routes,
)
"""Behind the sign-in, every one."""
