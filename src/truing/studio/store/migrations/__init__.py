"""The versions of the tables, oldest first. A change of `tables.py` is a new file in `versions/` and a name here."""

__all__ = ["HEAD", "VERSIONS"]

VERSIONS = ("0001",)
HEAD = VERSIONS[-1]
