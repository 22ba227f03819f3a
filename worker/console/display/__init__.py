"""How stored values look on a page: foreign text, times, numbers, personal data."""
