"""The settings: read once, checked against each other, documented in one table."""
