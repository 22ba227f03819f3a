"""Delivery: due notices are claimed, signed, sent, classified and recorded. See README.md."""
