"""What every process of ours needs: health probes, Redis clients, outages in the log."""
