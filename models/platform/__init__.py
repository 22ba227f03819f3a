"""General building blocks: clock, timestamps, money, encryption, signatures, version."""
