"""What membership alone foretells of the next period, beside peers at equal k."""
