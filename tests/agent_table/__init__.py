"""What the four real agents' programs do in the whole of Penstock: one table, program by scenario. See `__main__.py`."""
