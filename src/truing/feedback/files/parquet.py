"""Parquet, a batch of rows at a time."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Iterator

from truing.errors import DataError
from truing.feedback.files.lines import OnBad, Row, Stream

__all__ = ["rows"]

MAX_UNPACKED = 64 * 2**30
"""Bytes of the largest gzipped file, unpacked."""


def rows(stream: Stream, where: str, on_bad: OnBad) -> Iterator[tuple[str, Row]]:
    import pyarrow
    import pyarrow.parquet

    with tempfile.TemporaryFile() as unpacked:
        seekable = unpacked if isinstance(stream, gzip.GzipFile) else stream
        if seekable is unpacked:
            while chunk := stream.read(1 << 20):
                unpacked.write(chunk)
                if unpacked.tell() > MAX_UNPACKED:
                    raise DataError(f"it unpacks to more than {MAX_UNPACKED >> 30} GiB", where=where)
            unpacked.seek(0)
        number = 0
        try:
            with pyarrow.parquet.ParquetFile(seekable) as file:
                for batch in file.iter_batches(batch_size=1000):
                    for row in batch.to_pylist():
                        number += 1
                        yield f"{where}:row {number}", row
        except (pyarrow.ArrowException, UnicodeDecodeError) as error:
            cause = str(error).split("\n", 1)[0]
            raise DataError(f"bad Parquet: {cause}", where=where, remedy="Write the file again.") from None
