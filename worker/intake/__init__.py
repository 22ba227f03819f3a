"""The intake: reads the stream `ticket-events` in batches and applies them.

`loop` is the way of a batch, and runs several at once; `stream` reads, reclaims and acknowledges
entries; `celery_queue` moves what Celery publishes to the stream; `noted_moments` reads what the
sweeps note about the stream; `finished_count` counts what was finished, so that what vanishes is
noticed; `reports` reports batches to Flower.
"""
