"""What surrounds every request: proxies, path prefix, limits, security headers."""
