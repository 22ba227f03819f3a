"""Everything that puts events on the stream, and the simulated world around it."""
