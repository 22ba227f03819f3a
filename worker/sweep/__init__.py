"""The sweep: what the clock does. Closings (rule 17), windows (rule 8), creates (rule 10)."""
