"""Locks tickets, loads what a decision needs, saves what was decided: a batch at a time."""
