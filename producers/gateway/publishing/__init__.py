"""Events in over HTTP: checked as the intake would check them, then put on the stream."""
