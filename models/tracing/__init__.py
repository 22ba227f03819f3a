"""Traces: which one an event or a notice belongs to, and the spans that a process exports of it."""
