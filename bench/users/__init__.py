"""Are embeddings good? What they foretell of the next window, beside features and other models."""
