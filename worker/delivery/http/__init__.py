"""The HTTP client of the deliverers: one libcurl loop, a deadline per call, addresses checked.

Why it is our own, and not tornado's or aiohttp's: decision 0014.
"""
