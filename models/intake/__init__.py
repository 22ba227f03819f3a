"""Apply a chunk of stream entries in one transaction; split it where its content is to blame."""
