"""`slipway demo`: everything for real on one machine, watched, and judged at the end.

`stage` starts it all, `glance` looks into the database, `screen` shows it, `judgement` decides,
`performance` puts them together. `record` keeps its pictures for the README.
"""
