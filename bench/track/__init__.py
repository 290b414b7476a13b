"""Do segments follow customers that change? `python -m bench.track [--quick]`."""
