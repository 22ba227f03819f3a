"""What goes out: the exact text of each notice, by the partner's protocol."""
