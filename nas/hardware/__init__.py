"""How fast a network runs: measuring, latency tables."""
