"""What the head of a response says, from the lines that libcurl hands over."""

import pytest

from worker.delivery.http.response_head import ResponseHead, has_ended

OK = b"HTTP/1.1 200 OK\r\n"
RESET = b"HTTP/1.1 205 Reset Content\r\n"
END = b"\r\n"
LENGTH = b"Content-Length: 2\r\n"
GZIP = b"content-encoding: gzip\r\n"
SOON = b"Retry-After: 7\r\n"
LATER = b"RETRY-AFTER:  90 \r\n"


@pytest.mark.parametrize(
    ("lines", "headers", "ended"),
    [
        ([], [], False),
        ([OK], [], False),
        ([OK, LENGTH], [LENGTH], False),
        ([OK, LENGTH, END], [LENGTH], True),
        ([OK, LENGTH, b"\n"], [LENGTH], True),
        ([OK, END], [], True),
        ([b"http/1.1 103 Early Hints\r\n", GZIP, END, OK, LENGTH, END], [LENGTH], True),
        ([b"HTTP/1.1 103 Early Hints\r\n", GZIP, END, OK, LENGTH], [LENGTH], False),
        ([OK, LENGTH, END, GZIP], [LENGTH], True),
        ([OK, LENGTH, END, GZIP, END], [LENGTH], True),
        ([OK, LENGTH, END, GZIP, b"\n"], [LENGTH], True),
    ],
)
def test_the_last_head_counts_and_no_trailer(lines, headers, ended):
    head = ResponseHead.of(lines)

    assert (list(head.headers), head.ended) == (headers, ended)


def test_a_head_has_ended_with_its_empty_line():
    assert has_ended([OK, END])
    assert not has_ended([OK, LENGTH])
    assert not has_ended([])


@pytest.mark.parametrize(
    ("headers", "instructions"),
    [
        ([LENGTH], (None, None)),
        ([SOON, LENGTH, GZIP], ("7", "gzip")),
        ([SOON, LATER], ("90", None)),
        ([b"X-Note: retry-after: 5\r\n"], (None, None)),
        ([b"x: %s\r\n" % (b"y" * 5000), SOON], ("7", None)),
    ],
    ids=["neither", "both", "the last one", "within a value", "beyond what is kept"],
)
def test_it_is_read_whatever_case_a_name_is_in(headers, instructions):
    assert ResponseHead.of([OK, *headers, END]).instructions() == instructions


@pytest.mark.parametrize(
    ("lines", "whole"),
    [
        ([RESET, END], True),
        ([RESET, SOON, END], True),
        ([RESET, SOON], False),
        ([RESET, LENGTH, END], False),
        ([RESET, b"transfer-encoding: chunked\r\n", END], False),
        ([b"HTTP/1.1 103 Early Hints\r\n", LENGTH, END, RESET, END], True),
        ([OK, END], False),
    ],
)
def test_a_205_that_announces_no_body_has_none(lines, whole):
    assert ResponseHead.of(lines).is_whole is whole


def test_of_a_large_head_as_much_is_kept_as_is_stored():
    many = [b"x-%d: y\r\n" % number for number in range(70)]
    long = b"x: %s\r\n" % (b"y" * 4080)

    assert ResponseHead.of([OK, *many, END]).kept() == (many[:64], 6)
    assert ResponseHead.of([OK, LENGTH, long, SOON, END]).kept() == ([LENGTH, SOON], 1)
    assert ResponseHead.of([OK, LENGTH, END]).kept() == ([LENGTH], 0)
