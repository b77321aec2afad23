"""Feedback files: read, write, convert, check, count.

for group in feedback.read("pairs.jsonl.gz"): ...
feedback.write(groups, "pairs.parquet", "preference")
"""

from truing.feedback.formats import FORMATS, Format, register
from truing.feedback.reading import located, read, read_all, sniff
from truing.feedback.writing import write

__all__ = ["FORMATS", "Format", "located", "read", "read_all", "register", "sniff", "write"]
