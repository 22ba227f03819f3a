"""The sweep: what is due by the clock. Closings (rule 17), windows (rule 8), creates (rule 10)."""
