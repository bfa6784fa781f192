"""How much of what the core decides its tests would miss: small faults are put in, one at a time, and the tests are to fall."""
