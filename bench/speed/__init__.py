"""What Shoal costs, measured beside its peers: `python -m bench.speed [--quick]`."""
