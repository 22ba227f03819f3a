"""`slipway publish`: events from a file onto the stream."""
