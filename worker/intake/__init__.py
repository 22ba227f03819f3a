"""The intake: reads the stream `ticket-events` in batches and applies them.

`loop` is the way of a batch; `stream` reads, reclaims and acknowledges entries; `applier` decodes
and applies them; `executor` runs several batches at once; `celery_queue` moves what Celery
publishes to the stream; `noted_moments` reads what the sweeps note about the stream; `reports`
reports batches to Flower.
"""
