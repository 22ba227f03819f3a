"""This computer's clock, for what stands outside Slipway: backends and partners have their own."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Read the wall clock, aware and in UTC."""
    return datetime.now(UTC)
