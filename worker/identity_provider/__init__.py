"""The OpenID Connect provider that people sign in with: calls to it, and what it says of itself."""
