"""Delivery: what partners are owed is claimed, signed, sent, judged and recorded. See README.md."""
