"""The gateway's `/docs` in a real browser: routes, and beside them what partners receive."""

import pytest

from models.notices import pam
from tests.support.browser import open_browser
from tests.support.gateway_app import serving
from tests.support.plain_settings import plain_settings

pytestmark = pytest.mark.slow


def test_the_webhooks_are_shown_beside_the_routes():
    with open_browser() as browser, serving(plain_settings()) as url, browser.tab(url) as tab:
        tab.open("/docs")
        tab.page.get_by_role("heading", name="Webhooks").wait_for()

        hook = tab.page.locator("[id$=ticket_win]").first
        hook.click()
        hook.get_by_text("Idempotency-Key").first.wait_for()
        shown = tab.page.locator("#swagger-ui").inner_text()

    assert "/be/tickets/{identifier}/paid" in shown
    assert all(str(action) in shown for action in pam.FIELDS)
    assert "wallet_payout" in shown
