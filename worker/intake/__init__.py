"""The intake: reads the stream `ticket-events` in bulk; each chunk is applied in one transaction.

Reading (`stream`), what to take over from others (`takeover`), the endless loop (`loop`), what
it has in hand (`hands`), its place in the Celery worker (`step`) and what Flower is told about it
(`reports`).
"""
