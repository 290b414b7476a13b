"""A planted stream of noisy sightings: do segments follow means that move, split and jump?"""
