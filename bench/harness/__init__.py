"""What all benches of quality share: data, time cuts, environments, running, results."""
