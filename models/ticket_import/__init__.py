"""Tickets that another system began and Slipway is to end: read, and brought in."""
