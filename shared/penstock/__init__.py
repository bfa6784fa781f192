"""The contract of Penstock: what its services say to each other and to the world.

Rule of the house: nothing here decides, and nothing here knows a service.
"""

CONTRACT_VERSION = 1
"""Raised when a reader of the previous version could not go on. Printed by every service's `/version`."""
