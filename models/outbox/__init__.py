"""The outbox: claims the notices that partners are to get, and records each attempt."""
