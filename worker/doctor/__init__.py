"""Checks one part of the set-up after the other; each finding says what to fix, and how."""
