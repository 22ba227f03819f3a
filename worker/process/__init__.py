"""What every process of ours needs: health probes, Redis clients, backoff, outages in the log."""
