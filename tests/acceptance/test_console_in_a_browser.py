"""What the console is for, in a real browser on the whole system: every process, real partners.

One system for all; each test has its own tickets.
"""

import re
from base64 import b64encode
from collections.abc import Iterator
from itertools import count

import pytest

from models.users import Role
from tests.support.browser import ConsoleBrowser, Tab, open_browser
from tests.support.console_system import (
    ACME,
    BETSY,
    PLAYER,
    SUSPENDED,
    ConsoleSystem,
    console_system,
)
from tests.support.server_folders import passable_folder
from tests.support.wait import eventually

# Sends a form of an act as a page would: with the session's token.
SEND = """async ([path, fields]) => {
    const token = JSON.parse(document.body.getAttribute("hx-headers"));
    const answer = await fetch(path, { method: "POST", headers: token,
        body: new URLSearchParams(fields), redirect: "manual" });
    return answer.status;
}"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[ConsoleBrowser]:
    with open_browser() as running:
        yield running


@pytest.fixture(scope="module")
def system(browser: ConsoleBrowser) -> Iterator[ConsoleSystem]:
    with passable_folder() as folder, console_system(folder) as running:
        yield running


@pytest.fixture
def support(browser: ConsoleBrowser, system: ConsoleSystem) -> Iterator[Tab]:
    with browser.tab(system.url) as tab:
        tab.sign_in("support", system.passwords[Role.SUPPORT])
        yield tab


@pytest.fixture
def operations(browser: ConsoleBrowser, system: ConsoleSystem) -> Iterator[Tab]:
    with browser.tab(system.url) as tab:
        tab.sign_in("operations", system.passwords[Role.OPERATIONS])
        yield tab


def taken(system: ConsoleSystem, operator: str, ticket_id: str) -> list[str | None]:
    """What the partner took of a ticket."""
    return [entry.action for entry in system.received(operator, ticket_id) if entry.taken]


def test_a_support_agent_finds_a_players_ticket_and_has_it_sent_again(system, support):
    """The three questions: why is it not closed, what did the partner say, send it again."""
    system.publish(ACME, "ticket_open", "T-1", "T-7", player_id=PLAYER)
    system.publish(ACME, "ticket_win", "T-1")
    eventually(lambda: taken(system, ACME, "T-1") == ["ticket_win"])

    search = support.page.get_by_role("searchbox").first
    search.fill(PLAYER)
    search.press("Enter")
    support.content.get_by_role("link", name="T-1").first.click()

    why = support.page.locator(".why")
    why.wait_for()
    assert "closes" in why.inner_text()
    support.page.get_by_role("link", name="Request and answer").first.click()
    attempt = support.page.locator("[data-loaded] .attempt").first
    attempt.wait_for()
    assert f"{ACME}/T-1/ticket_win/1" in attempt.inner_text()
    assert "200" in attempt.inner_text()

    support.confirm(support.act("Send again", reason="the partner restored a backup"))

    eventually(lambda: taken(system, ACME, "T-1") == ["ticket_win"] * 2)
    first, again = system.received(ACME, "T-1")
    assert (again.body, again.idempotency_key) == (first.body, first.idempotency_key)
    support.page.get_by_text("the partner restored a backup").first.wait_for()  # the page is live


def test_300_dead_notices_are_worked_off_by_a_filter_while_their_progress_shows(system, operations):
    ticket_ids = [f"dead-{number}" for number in range(300)]
    system.make_dead(ticket_ids)
    system.partners[ACME].behave_well()

    operations.open("/notices")
    operations.page.get_by_label("Text of the last answer").fill(SUSPENDED)
    operations.page.get_by_role("button", name="Filter").click()
    operations.page.get_by_role("link", name="Retry all that match").click()
    operations.page.get_by_role("heading", name="Retry 300 dead notices").wait_for()
    operations.page.get_by_label("At most so many a second").fill("60")
    operations.page.get_by_label("Reason").fill("the market is open again")
    operations.page.get_by_role("button", name="Retry 300 dead notices").click()

    progress = operations.page.get_by_role("progressbar", name="Progress of the job")
    progress.wait_for()
    shown = {int(progress.get_attribute("value") or 0)}
    while "done" not in operations.page.locator("#progress .badge").inner_text():
        operations.page.wait_for_timeout(200)
        shown.add(int(progress.get_attribute("value") or 0))
    assert len(shown) > 2, f"nobody reloaded the page, and it showed {shown}"
    eventually(lambda: all(taken(system, ACME, ticket_id) for ticket_id in ticket_ids))
    assert all(taken(system, ACME, ticket_id) == ["ticket_win"] for ticket_id in ticket_ids)
    assert system.dead() == 0


def test_what_is_on_hold_is_not_sent_until_it_is_released(system, support):
    system.publish(ACME, "ticket_open", "T-2")
    eventually(lambda: system.has_ticket("T-2"))
    support.open("/tickets/acme/T-2")
    support.confirm(support.act("Hold", reason="the player complained"))
    assert "on hold" in support.page.locator(".standing").inner_text()

    system.publish(ACME, "ticket_win", "T-2", "T-3")
    eventually(lambda: taken(system, ACME, "T-3") == ["ticket_win"])
    assert system.received(ACME, "T-2") == []

    support.page.locator(".standing", has_text="resulted").wait_for()  # the page is live
    support.confirm(support.act("Release", reason="settled with the player"))
    eventually(lambda: taken(system, ACME, "T-2") == ["ticket_win"])


def test_a_rotated_secret_is_shown_once_and_the_partner_accepts_what_it_signs(system, operations):
    system.publish(BETSY, "ticket_win", "T-4")
    eventually(lambda: taken(system, BETSY, "T-4") == ["ticket_win"])

    operations.open("/partners/betsy")
    operations.page.get_by_role("link", name="Rotate secret").click()
    operations.page.get_by_label("Reason").fill("yearly")
    operations.page.locator("main form button[type=submit]").last.click()
    secret = operations.page.locator(".secret code").inner_text()
    system.learn_secret(BETSY, secret)
    system.publish(BETSY, "ticket_win", "T-5")

    eventually(lambda: taken(system, BETSY, "T-5") == ["ticket_win"])
    assert system.received(BETSY, "T-5")[-1].signature_ok  # it knows the new secret alone
    operations.open("/partners/betsy")
    assert secret not in operations.page.content()


def test_a_typed_access_goes_out_with_the_next_notice_and_is_not_shown_again(system, operations):
    operations.refused.add(422)
    wrong, right = "{user: us, pass: canary-typed}", "{user: us, password: canary-typed}"
    operations.open("/partners/betsy")
    operations.page.get_by_role("link", name="Set access").click()
    for basic in (wrong, right):
        operations.page.get_by_label("The access, as YAML").fill(
            f"headers:\n  - {{name: X-Api-Key, value: canary-key}}\nbasic: {basic}"
        )
        operations.page.get_by_label("Reason").fill("their new gateway")
        with operations.page.expect_navigation():
            operations.page.get_by_role("button", name="Set the access").click()
        assert "canary" not in operations.page.content()
    assert "user us, password (secret)" in operations.text()

    numbers = count()

    def headers_of_another() -> dict[str, str]:
        ticket_id = f"T-8-{next(numbers)}"
        system.publish(BETSY, "ticket_win", ticket_id)
        eventually(lambda: taken(system, BETSY, ticket_id) == ["ticket_win"])
        return dict(system.received(BETSY, ticket_id)[-1].headers)

    eventually(lambda: headers_of_another().get("x-api-key") == "canary-key")  # within a second
    basic = b64encode(b"us:canary-typed").decode()
    assert headers_of_another()["authorization"] == f"Basic {basic}"


def test_a_viewer_sees_no_personal_data_and_may_do_nothing(browser, system):
    system.publish(ACME, "ticket_open", "T-6", player_id=PLAYER)
    system.publish(
        ACME, "ticket_win", "T-6", player_id=PLAYER, gross_payout=81_527_394
    )  # tokens hold digits
    eventually(lambda: taken(system, ACME, "T-6") == ["ticket_win"])

    with browser.tab(system.url) as tab:
        tab.sign_in("viewer", system.passwords[Role.VIEWER])
        tab.open("/tickets/acme/T-6")
        tab.page.locator(".why").wait_for()
        assert PLAYER not in tab.page.content()
        assert not re.search("81,?527,?3\\.?94", tab.page.content())
        assert tab.content.locator("form[method=post]").count() == 0

        tab.refused = {403}
        status = tab.page.evaluate(SEND, ["/tickets/acme/T-6/hold", {"reason": "mine"}])

    assert status == 403
    assert not system.has_ticket("T-6", on_hold=True)
