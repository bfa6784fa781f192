"""Measurements of our own code against its physical neighbour, side by side. Programs, not tests: nothing fails by time."""
