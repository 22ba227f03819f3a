"""What a ticket is and how it may change: pure decisions, no database, no clock."""
