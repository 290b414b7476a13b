"""What the behaviour model costs: an event, a million customers, a token of training."""
