"""The outbox: claim what partners are owed, and record what came of each attempt."""
