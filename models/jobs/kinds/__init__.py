"""What jobs do: a module for each kind, or for kinds that belong together."""
