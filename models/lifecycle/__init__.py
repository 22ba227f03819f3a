"""What a ticket is and how it may move: pure decisions, no database, no clock."""
