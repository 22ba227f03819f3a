"""Applies a batch of stream entries in one transaction; halves it if its content is to blame."""
