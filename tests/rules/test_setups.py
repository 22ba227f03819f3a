"""The section *Set-ups* of the delivery page: each row names a test that runs against its peer."""

import re
from pathlib import Path

import pytest

from tests.support.sources import ROOT

PAGE = (ROOT / "worker/delivery/README.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("\n## Set-ups\n")[2].partition("\n## ")[0]
HEADS = ("what stands in front", "credential", "---")
ROWS = [
    line.strip("| ").split(" | ")
    for line in SECTION.splitlines()
    if line.startswith("|") and not line.strip("| ").startswith(HEADS)
]
# The word on the page, and what a test that uses such a peer has in its source.
PEERS = {
    "nginx": r"nginx_for|NGINX",
    "stunnel": "stunnel_for",
    "squid": "squid",
    "tinyproxy": "tinyproxy",
    "oidc-provider": "oidc|token_provider",
    "raw sockets": "raw_server|connect_proxy|token_server",
}
# What a partner may have, or do wrong, that has to have a row.
NAMED = (
    *("authority of its own", "authority of ours", "`ssl_verify_client`", "user agent"),
    *("headers", "Basic", "bearer token", "OAuth 2", "egress proxy", "without the proxy"),
    *("timeout", "--retry-schedule", "--taken", "--create-taken", "--success-json"),
    *("compression", "HTTP/1.0", "1xx", "trailers", "204", "205", "close_notify", "Expect"),
    *("URL with a query", "IPv6", "redirect", "UTF-16", "byte order mark", "code as text"),
    *("hangs", "redirects", "10 GB", "one that refuses", "CA file that is a key", "newline"),
)


def files_named_in(text: str) -> list[Path]:
    """The files that *text* names."""
    names = re.findall(r"`((?:tests/[\w/]+/)?test_\w+\.py)`", text)
    return [
        ROOT / name if "/" in name else ROOT / "tests/integration/delivery" / name for name in names
    ]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:50])
def test_a_set_up_names_a_test_that_is_there_and_uses_its_peer(row):
    tests = files_named_in(" ".join(row))

    assert tests, "name the test"
    assert [str(test.relative_to(ROOT)) for test in tests if not test.is_file()] == []
    sources = "".join(test.read_text(encoding="utf-8") for test in tests)
    for peer, trace in PEERS.items():
        if peer in " ".join(row):
            assert re.search(trace, sources), f"none of its tests uses {peer}"


@pytest.mark.parametrize("named", [*NAMED, *PEERS])
def test_nothing_that_may_stand_in_front_of_a_partner_is_left_out(named):
    assert any(named in " ".join(row) for row in ROWS)


def test_a_credential_has_a_case_for_each_way_that_it_goes_wrong():
    credentials = {row[0]: row for row in ROWS if len(row) == 5}

    assert credentials.keys() == {
        "header, Basic, Bearer", "client certificate", "client id and secret", "token",
        "the proxy's user and password",
    }  # fmt: skip
    assert all(all(row) for row in credentials.values())
