"""Ablation of the behaviour model: what each choice is worth, at an equal budget."""
