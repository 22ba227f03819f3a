"""Events from publishers: the stream's contract, the format, and decoding an entry."""
