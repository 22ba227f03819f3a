"""What `slipway events`, `slipway notices` and `slipway tickets` share; see README.md.

`options` holds the shared options, `session` the database behind a command, `display` prints lists
and pages, and `report` runs the changes, one transaction for each, and reports what happened.
"""
