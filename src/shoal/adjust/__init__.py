"""What becomes of segments when they are made anew: the same ones, changed ones, new ones."""
