"""`slipway events`: events that need a person, and what can be done about them."""
