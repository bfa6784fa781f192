"""The contract for those who do not import it: JSON Schemas, AsyncAPI, a reference to read. `python -m penstock.schema`.

Rule of this room: everything is derived from the Structs and nothing is written by hand beside them; what is published is
committed, and may change only in ways that break nobody.
"""
