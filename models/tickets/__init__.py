"""Lock tickets, load what a decision needs, store what was decided: a chunk at a time."""
