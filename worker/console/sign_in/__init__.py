"""Signing in: by password, by OpenID Connect, or by a header of a trusted proxy."""
