"""The HTTP client of the deliverers: one libcurl loop, a deadline per call, addresses checked."""
