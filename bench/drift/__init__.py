"""Bench: false alarms where nothing changed, power and delay where something did."""
