"""`slipway demo`: the whole of Slipway on one machine, with a verdict at the end.

`environment` starts everything, `database_stats` reads the database, `screen` shows what happens,
`verdict` decides, `run` puts them together. `readme_pictures` records the pictures in the README.
"""
