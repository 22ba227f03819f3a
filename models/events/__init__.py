"""What comes in: the event's wire format, and reading a stream entry into an event."""
