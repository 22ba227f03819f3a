"""Where Flower serves its pages: what its variables mean, and what is refused before it starts."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from models.settings.errors import InvalidSettings
from tests.support.certificates import identity
from worker.process.flower_pages import check_flower_pages, flower_pages

NOW = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """A certificate and its key, and some that fit nothing."""
    identity(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    identity(other)
    (tmp_path / "words.pem").write_text("not a certificate")
    return {
        "good": str(tmp_path / "partner.pem"),
        "key": str(tmp_path / "partner.key"),
        "other": str(other / "partner.key"),
        "words": str(tmp_path / "words.pem"),
        "none": str(tmp_path / "none.pem"),
        "folder": str(other),
    }


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ({}, "http://h:5555"),
        ({"FLOWER_URL_PREFIX": ""}, "http://h:5555"),
        ({"FLOWER_URL_PREFIX": "flower"}, "http://h:5555/flower/"),
        ({"FLOWER_URL_PREFIX": "/tools/flower/"}, "http://h:5555/tools/flower/"),
        ({"FLOWER_CERTFILE": "a", "FLOWER_KEYFILE": "b"}, "https://h:5555"),
    ],
)
def test_its_address_has_the_prefix_and_says_whether_it_speaks_tls(given, address):
    assert flower_pages(given).address("h", 5555) == address


def test_an_address_of_ipv6_stands_in_brackets():
    assert flower_pages({"FLOWER_URL_PREFIX": "f"}).address("::1", 1) == "http://[::1]:1/f/"


def test_what_is_right_is_taken(files):
    check_flower_pages({}, now=NOW)
    given = {"FLOWER_CERTFILE": files["good"], "FLOWER_KEYFILE": files["key"]}
    check_flower_pages({"FLOWER_URL_PREFIX": "/a-b/c_d/", **given}, now=NOW)


@pytest.mark.parametrize(
    "prefix",
    ["https://example.com/flower", "/flower?x=1", "/a//b", "/flower*", "a b", "/../x", "//"],
)
def test_a_prefix_that_is_no_path_is_refused(prefix):
    with pytest.raises(InvalidSettings, match="FLOWER_URL_PREFIX must be a path") as refusal:
        check_flower_pages({"FLOWER_URL_PREFIX": prefix}, now=NOW)

    assert "/flower" in str(refusal.value)


@pytest.mark.parametrize(
    ("chain", "key", "problem"),
    [
        ("good", None, "FLOWER_CERTFILE and FLOWER_KEYFILE need each other"),
        (None, "key", "FLOWER_CERTFILE and FLOWER_KEYFILE need each other"),
        ("none", "key", "FLOWER_CERTFILE: .*none.pem cannot be read: No such file"),
        ("folder", "key", "FLOWER_CERTFILE: .* cannot be read: Is a directory"),
        ("words", "key", "FLOWER_CERTFILE: .*words.pem "),
        ("key", "key", "FLOWER_CERTFILE: .*partner.key "),
        ("good", "none", "FLOWER_KEYFILE: .*none.pem cannot be read: No such file"),
        ("good", "words", "FLOWER_KEYFILE: .*words.pem is not the key"),
        ("good", "other", "FLOWER_KEYFILE: .*partner.key is not the key"),
    ],
)
def test_files_that_cannot_be_used_are_named_with_their_variable(files, chain, key, problem):
    given = {"FLOWER_CERTFILE": chain, "FLOWER_KEYFILE": key}

    with pytest.raises(InvalidSettings, match=problem):
        check_flower_pages(
            {name: files[file] for name, file in given.items() if file is not None}, now=NOW
        )


def test_a_certificate_that_has_expired_is_refused(files):
    given = {"FLOWER_CERTFILE": files["good"], "FLOWER_KEYFILE": files["key"]}

    with pytest.raises(InvalidSettings, match=r"FLOWER_CERTFILE: .* expired at 2126-"):
        check_flower_pages(given, now=datetime(2200, 1, 1, tzinfo=UTC))
