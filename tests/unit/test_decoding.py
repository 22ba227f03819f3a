"""Bodies that came compressed or in UTF-16: what is read of them, and never more than the limit."""

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.delivery.http.decoding import compression_of, decoded
from worker.delivery.http.exchange import HttpResponse

LIMIT = 64 * 1024
TEXT = b'{"status":{"code":0,"message":"gr\xc3\xbc\xc3\x9fe"}}'


def read(body: bytes, encoding: str | None = None, *, truncated: bool = False) -> HttpResponse:
    return decoded(HttpResponse(200, body, encoding=encoding, truncated=truncated), bytes_max=LIMIT)


def bare(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (TEXT, None),
        (TEXT, "identity"),
        (gzip.compress(TEXT, mtime=0), "gzip"),
        (gzip.compress(TEXT, mtime=0), " X-GZIP "),
        (gzip.compress(TEXT, mtime=0), None),
        (gzip.compress(TEXT[:9], mtime=0) + gzip.compress(TEXT[9:], mtime=0), "gzip"),
        (zlib.compress(TEXT), "deflate"),
        (bare(TEXT), "deflate"),
    ],
)
def test_a_compressed_body_is_read(body, encoding):
    assert read(body, encoding) == HttpResponse(200, TEXT)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "x-made-up"])
@pytest.mark.parametrize("body", [TEXT, b"", b"\xef\xbb\xbfok\r\n"], ids=["JSON", "none", "BOM"])
def test_a_text_under_a_header_that_is_wrong_is_a_text(body, encoding):
    assert read(body, encoding) == HttpResponse(200, body)
    assert compression_of(read(body, encoding)) is None


def test_so_is_one_that_was_cut_off_within_a_character():
    cut = TEXT[: TEXT.index(b"\xbc")]

    assert read(cut, "br", truncated=True).encoding is None
    assert read(cut, "br").encoding == "br"


@pytest.mark.parametrize(
    ("body", "encoding", "name"),
    [
        (gzip.compress(TEXT, mtime=0)[:-9], "gzip", "gzip"),
        (gzip.compress(TEXT, mtime=0)[:-1], None, "gzip"),
        (gzip.compress(TEXT, mtime=0)[:-8] + b"\0" * 8, "gzip", "gzip"),
        (zlib.compress(TEXT)[:-5], "deflate", "deflate"),
        (b"\x8b\x07\x80", "br", "br"),
        (b"\x28\xb5\x2f\xfd\0", None, "zstd"),
        (b"\x8b\x07\x80", "secret-thing", "unknown"),
        (b"\x8b\x07\x80", "gzip, gzip", "unknown"),
    ],
)
def test_what_cannot_be_read_stays_and_is_named(body, encoding, name):
    response = read(body, encoding)

    assert response.body == body
    assert compression_of(response) == name


@pytest.mark.parametrize(("pack", "encoding"), [(gzip.compress, "gzip"), (bare, "deflate")])
def test_a_bomb_stays_within_the_limit(pack, encoding):
    bomb = pack(b"x" * 50_000_000)
    tracemalloc.start()
    try:
        response = read(bomb, encoding)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert response == HttpResponse(200, b"x" * LIMIT, truncated=True)
    assert most < 8 * LIMIT


def test_of_very_many_members_no_more_are_read_than_there_may_be():
    assert compression_of(read(gzip.compress(b"", mtime=0) * 3000, "gzip")) == "gzip"


def test_of_a_compressed_body_that_we_cut_off_the_beginning_is_read():
    packed = gzip.compress(TEXT * 50)

    response = read(packed[:-20], "gzip", truncated=True)

    assert response.truncated
    assert response.body
    assert (TEXT * 50).startswith(response.body)


@pytest.mark.parametrize("charset", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_becomes_utf_8_and_that_is_noted(charset):
    packed = gzip.compress(TEXT.decode().encode(charset))
    for response in (read(TEXT.decode().encode(charset)), read(packed, "gzip")):
        assert response.body.decode("utf-8-sig").encode() == TEXT
        assert response.repairs == ("utf_16",)


@given(
    st.binary(max_size=200) | st.binary(max_size=200).map(lambda end: b"\x1f\x8b\x08\x00" + end),
    st.none() | st.sampled_from(["gzip", "deflate", "br", "identity"]) | st.text(max_size=5),
    st.booleans(),
)
def test_no_body_is_too_odd(body, encoding, truncated):
    response = read(body, encoding, truncated=truncated)

    assert len(response.body) <= LIMIT
    assert response.status == 200
