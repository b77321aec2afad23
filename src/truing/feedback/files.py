"""Rows of files, streamed: JSON Lines, JSON, CSV, Parquet, each also gzipped, and Hugging Face `datasets`.

    rows("pairs.jsonl.gz") -> ("pairs.jsonl.gz:1", {"prompt": ..., "chosen": ..., "rejected": ...}), ...

and of the studio's stores (`studio.db`, `studio.db#project`, `postgresql://...#project`), as people label.

Files are hostile: nothing is read whole, no line or object may be longer than `MAX_ITEM`, and whatever is wrong is a
`DataError` with file and line. Only a Parquet file that is gzipped is unpacked first, into a temporary file.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

from truing.errors import DataError
from truing.feedback.formats.cells import near, shown

__all__ = ["ENDINGS", "MAX_ITEM", "OnBad", "check_source", "is_store", "refuse", "rows"]

Row = dict[str, Any]
OnBad = Callable[[DataError], None]
Stream = IO[bytes] | gzip.GzipFile

MAX_ITEM = 64 * 2**20
"""Bytes of the longest line or object. No row of text is longer; a file without line ends or a gzip bomb is."""
MAX_UNPACKED = 64 * 2**30
"""Bytes of the largest gzipped Parquet file, unpacked."""
_CHUNK = 1 << 16
_HUB = re.compile(r"[\w.-]+/[\w.-]+(/[\w.-]+)?(:[\w.\[\]%:+-]+)?")


def refuse(error: DataError) -> NoReturn:
    """The first bad row ends the reading."""
    raise error


def rows(source: str | Path, on_bad: OnBad = refuse) -> Iterator[tuple[str, Row]]:
    """(where, row) one after the other. `source` is a file, a folder of `save_to_disk`, or
    `owner/name[/config][:split]` on the hub. `on_bad` hears of each row that cannot be read; if it returns, the
    row is left out.

    Not of every fault can the rest be read: what breaks the file itself is always raised.
    """
    if is_store(source):
        yield from _store_rows(str(source))
        return
    path = Path(source)
    heard = False

    def hear(error: DataError) -> None:
        nonlocal heard
        heard = True
        on_bad(error)

    if path.is_dir():
        found = _datasets_rows(str(path), _from_disk(path), hear)
    elif path.is_file():
        found = _file_rows(path, hear)
    elif _is_hub_name(str(source)):
        found = _datasets_rows(str(source), _from_hub(str(source)), hear)
    else:
        raise _no_such_file(path)
    number = 0
    for row in found:
        number += 1
        yield row
    if not number and not heard:
        raise DataError("it holds no rows", where=str(source), remedy="Was it written to the end? Give one with rows.")


def check_source(source: str | Path) -> None:
    """`DataError` where it is no file, no folder, no store and no name on the hub. Opens nothing."""
    path = Path(str(source).partition("#")[0] if is_store(source) else source)
    if "://" not in str(source) and not (path.is_dir() or path.is_file() or _is_hub_name(str(source))):
        raise _no_such_file(path)


def _no_such_file(path: Path) -> DataError:
    beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    meant = near(path.name, beside)
    hint = (
        f"Did you mean {path.parent / meant}?" if meant else "Give a file, a folder of `save_to_disk`, or owner/name."
    )
    return DataError("no such file", where=str(path), remedy=hint)


def _is_hub_name(source: str) -> bool:
    # A folder of this name makes it a path with a misspelt end rather than a name on the hub.
    return bool(_HUB.fullmatch(source)) and not Path(source).parent.is_dir() and container(Path(source))[0] is None


# ── the studio's store ───────────────────────────────────────────────────────────────────────────────────────────────


_STORE = re.compile(r"(sqlite|postgres(ql)?(\+\w+)?)://.*|.*\.(db|sqlite|sqlite3)(#.*)?", re.DOTALL)


def is_store(source: str | Path) -> bool:
    """Whether it is a store of the studio's: a file .db or .sqlite, a data base's URL, each also with `#project`."""
    return bool(_STORE.fullmatch(str(source))) and not Path(source).is_dir()


def _store_rows(source: str) -> Iterator[tuple[str, Row]]:
    try:
        from truing.studio import exporting
    except ModuleNotFoundError as error:
        raise DataError(
            f"a store needs a package that is not there ({error.name})",
            where=source,
            remedy="pip install 'truing[studio]'",
        ) from None
    number = 0
    for row in exporting.rows(source):
        number += 1
        yield row
    if not number:
        raise DataError("nothing is labelled in it yet", where=source)


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def container(path: Path) -> tuple[str | None, bool]:
    """(ending without .gz, is it gzipped); None for an ending that nobody reads."""
    endings = [ending.lower() for ending in path.suffixes]
    zipped = endings[-1:] == [".gz"]
    if zipped:
        endings.pop()
    return (endings[-1] if endings and endings[-1] in ENDINGS else None), zipped


def known_container(path: Path) -> tuple[str, bool]:
    ending, zipped = container(path)
    if ending is None:
        raise DataError(
            f"the ending {''.join(path.suffixes[-2:]) or '(none)'} says nothing about what is inside",
            where=str(path),
            remedy=f"Rename it to one of {', '.join(ENDINGS)}, each also with .gz.",
        )
    return ending, zipped


def _file_rows(path: Path, on_bad: OnBad) -> Iterator[tuple[str, Row]]:
    ending, zipped = known_container(path)
    where = str(path)
    try:
        with path.open("rb") as raw:
            if not zipped and raw.peek(2)[:2] == b"\x1f\x8b":
                raise DataError("the file is gzipped, and its name does not say so", where=where, remedy="Add .gz.")
            if not zipped:
                yield from ENDINGS[ending](raw, where, on_bad)
                return
            with gzip.open(raw, "rb") as unzipped:
                yield from ENDINGS[ending](unzipped, where, on_bad)
    except EOFError:
        raise DataError(
            "the gzip ends in the middle", where=where, remedy="It was cut off: download or write it again."
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"the gzip cannot be unpacked ({error})", where=where, remedy="Is it a gzip? Otherwise write it again."
        ) from None
    except OSError as error:
        raise DataError(f"it cannot be read ({error.strerror or error})", where=where) from None


def _lines(stream: Stream, where: str) -> Iterator[tuple[int, bytes]]:
    """(number, line), no line longer than `MAX_ITEM`."""
    number = 0
    while line := stream.readline(MAX_ITEM + 1):
        number += 1
        if len(line) > MAX_ITEM:
            raise DataError(
                f"the line is longer than {MAX_ITEM >> 20} MiB",
                where=f"{where}:{number}",
                remedy="Is it what its name says? JSON Lines has one object a line.",
            )
        yield number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line


def _decoded(line: bytes, where: str) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"byte {error.start + 1} of the line, {line[error.start : error.start + 1]!r}, is not UTF-8",
            where=where,
            remedy="Save the file as UTF-8.",
        ) from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _bad_json(error: Exception, text: str, where: str) -> DataError:
    if isinstance(error, json.JSONDecodeError):
        near_by = text[max(error.pos - 10, 0) : error.pos + 20]
        found = f"bad JSON: {error.msg} at character {error.pos + 1}, near {near_by!r}"
    else:
        found = f"bad JSON: {'nested too deeply' if isinstance(error, RecursionError) else error}"
    return DataError(found, where=where, remedy="Mend the row, or leave it out (--skip-bad does).")


def _jsonl(stream: Stream, where: str, on_bad: OnBad) -> Iterator[tuple[str, Row]]:
    for number, line in _lines(stream, where):
        if line.isspace():
            continue
        place = f"{where}:{number}"
        try:
            text = _decoded(line, place).rstrip()
            try:
                row = _DECODER.decode(text)
            except (ValueError, RecursionError) as error:
                if number == 1 and text.lstrip().startswith("["):
                    raise _is_array(place) from None
                raise _bad_json(error, text, place) from None
            if isinstance(row, list) and number == 1:
                raise _is_array(place)
            if not isinstance(row, dict):
                raise DataError(
                    f"the line is {shown(row)}, not an object", where=place, remedy='A row is {"column": value, ...}.'
                )
        except DataError as error:
            on_bad(error)
            continue
        yield place, row


def _is_array(where: str) -> DataError:
    return DataError("the file is a JSON array, not JSON Lines", where=where, remedy="Rename it to .json.")


class _Text:
    """A window over a stream of JSON text: what was read and not yet understood, and how many lines are behind."""

    def __init__(self, stream: Stream, where: str) -> None:
        self.stream = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="strict", newline="\n")
        self.where, self.text, self.line, self.chunk, self.ended = where, "", 1, _CHUNK, False

    @property
    def place(self) -> str:
        return f"{self.where}:{self.line}"

    def more(self) -> bool:
        """Read on; False at the end."""
        try:
            read = self.stream.read(self.chunk)
        except UnicodeDecodeError:
            raise DataError("here or later a byte is not UTF-8", where=self.place, remedy="Save it as UTF-8.") from None
        self.text += read
        self.ended = not read
        return bool(read)

    def pass_over(self, number: int) -> None:
        self.line += self.text.count("\n", 0, number)
        self.text = self.text[number:]

    def next_character(self) -> str:
        """The next that is no white space, left in place; empty at the end."""
        while True:
            rest = self.text.lstrip()
            self.pass_over(len(self.text) - len(rest))
            if rest or not self.more():
                return self.text[:1]

    def value(self) -> Any:
        """The next JSON value. An error may only mean that its end is not read yet, so read on, twice as much each
        time; but an error far before the end of what was read stays one."""
        self.chunk = _CHUNK
        while True:
            try:
                found, end = _DECODER.raw_decode(self.text)
            except (ValueError, RecursionError) as error:
                unfinished = isinstance(error, json.JSONDecodeError) and (
                    error.msg.startswith("Unterminated string") or error.pos > len(self.text) - 16
                )
                if unfinished and len(self.text) <= MAX_ITEM:
                    self.chunk = max(self.chunk, len(self.text))
                    if self.more():
                        continue
                raise self._fault(error) from None
            self.pass_over(end)
            return found

    def _fault(self, error: Exception) -> DataError:
        line = self.line
        if isinstance(error, json.JSONDecodeError):
            line += error.lineno - 1
        fault = _bad_json(error, self.text, f"{self.where}:{line}")
        remedy = "The file is cut off: write it again." if self.ended else "Mend the file; JSON cannot be read past it."
        return DataError(fault.found, where=fault.where, remedy=remedy)


def _json(stream: Stream, where: str, on_bad: OnBad) -> Iterator[tuple[str, Row]]:
    """An array of objects; or objects one after the other, as in JSON Lines that are called .json."""
    text = _Text(stream, where)
    try:
        first = text.next_character()
        if not first:
            return
        if first == "[":
            text.pass_over(1)
            yield from _array(text, on_bad)
            return
        place = text.place
        row = text.value()
        if not isinstance(row, dict) or text.next_character() != "{":
            columns = isinstance(row, dict) and row and all(isinstance(value, (list, dict)) for value in row.values())
            raise DataError(
                "the file is one object of columns, not rows" if columns else f"the file is {shown(row)}, not rows",
                where=where,
                remedy='Write an array of objects, [{"column": value}, ...], or one object a line as .jsonl '
                "(pandas: to_json(orient='records', lines=True)).",
            )
        yield place, row
        while text.next_character():
            place, row = text.place, text.value()
            if _is_row(row, place, on_bad):
                yield place, row
    finally:
        text.stream.detach()  # or the wrapper would close a stream that is not its own


def _is_row(row: Any, place: str, on_bad: OnBad) -> bool:
    if isinstance(row, dict):
        return True
    on_bad(DataError(f"the item is {shown(row)}, not an object", where=place, remedy='A row is {"column": value}.'))
    return False


def _array(text: _Text, on_bad: OnBad) -> Iterator[tuple[str, Row]]:
    if text.next_character() == "]":
        return
    while True:
        text.next_character()
        place, row = text.place, text.value()
        if _is_row(row, place, on_bad):
            yield place, row
        mark = text.next_character()
        if mark not in ("]", ","):
            found = f"{mark!r} where the array should go on" if mark else "the array does not end"
            raise DataError(found, where=text.place, remedy="The file is cut off or damaged: write it again.")
        text.pass_over(1)
        if mark == "]":
            break
    if text.next_character():
        raise DataError("there is more after the array", where=text.place, remedy="One array a file.")


def looks_like_turns(value: str) -> bool:
    """CSV holds only text: a cell that is a JSON list of turns is meant as one."""
    if not value.startswith("[") or '"role"' not in value:
        return False
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return False
    return bool(found) and all(isinstance(turn, dict) and {"role", "content"} <= set(turn) for turn in found)


def _csv(stream: Stream, where: str, on_bad: OnBad) -> Iterator[tuple[str, Row]]:
    # The limit is the process's; its default (128 kB) is shorter than a long dialogue.
    csv.field_size_limit(MAX_ITEM)
    behind = 0

    def texts() -> Iterator[str]:
        for number, line in _lines(stream, where):
            yield _decoded(line, f"{where}:{number}")

    reader = csv.reader(texts(), strict=True)
    try:
        header = next(reader, None)
        if header is None:
            return
        _check_header(header, where)
        behind = reader.line_num
        for cells in reader:
            place, behind = f"{where}:{behind + 1}", reader.line_num
            if not cells:
                continue
            if len(cells) != len(header):
                on_bad(
                    DataError(
                        f"the row has {len(cells)} cells and the header {len(header)}",
                        where=place,
                        remedy="Cells with commas, quotes or line breaks stand in double quotes.",
                    )
                )
                continue
            values = (json.loads(cell) if looks_like_turns(cell) else cell for cell in cells)
            yield place, dict(zip(header, values, strict=True))
    except csv.Error as error:
        raise DataError(f"bad CSV: {error}", where=f"{where}:{behind + 1}", remedy="Check the quotes.") from None


def _check_header(header: list[str], where: str) -> None:
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice or not all(name.strip() for name in header):
        found = f"the header names `{twice[0]}` twice" if twice else "the header has a column without a name"
        raise DataError(found, where=f"{where}:1", remedy="The first line names the columns, each once.")


def _parquet(stream: Stream, where: str, on_bad: OnBad) -> Iterator[tuple[str, Row]]:
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


ENDINGS: dict[str, Callable[[Stream, str, OnBad], Iterator[tuple[str, Row]]]] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
}
"""How to read what is inside, by ending."""


# ── datasets ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _datasets_rows(where: str, dataset: Any, on_bad: OnBad) -> Iterator[tuple[str, Row]]:
    number = 0
    try:
        for number, row in enumerate(dataset, 1):
            if _is_row(row, f"{where}:row {number}", on_bad):
                yield f"{where}:row {number}", row
    except DataError:
        raise
    except Exception as error:  # network and damaged files: the library has a dozen types for them
        cause = f"{type(error).__name__}: {str(error).split(chr(10), 1)[0]}"
        raise DataError(f"it cannot be read on after row {number} ({cause})", where=where) from error


def _from_disk(folder: Path) -> Any:
    if (folder / "dataset_dict.json").is_file():
        splits = json.loads((folder / "dataset_dict.json").read_text(encoding="utf-8")).get("splits", [])
        raise DataError(
            f"the folder holds several splits: {', '.join(splits)}",
            where=str(folder),
            remedy=f"Name one: {folder / splits[0]}." if splits else None,
        )
    if not (folder / "state.json").is_file():
        raise DataError(
            "the folder is no data set saved by `save_to_disk`",
            where=str(folder),
            remedy=f"Name a file in it; known endings: {', '.join(ENDINGS)}, each also with .gz.",
        )
    import datasets

    try:
        return datasets.load_from_disk(str(folder))
    except Exception as error:  # whatever a damaged folder makes of it
        raise DataError(
            f"the data set cannot be opened ({type(error).__name__}: {error})",
            where=str(folder),
            remedy="Save it again.",
        ) from error


def _from_hub(name: str) -> Any:
    import datasets

    path, _, split = name.partition(":")
    owner, title, *config = path.split("/")
    try:
        found = datasets.load_dataset(f"{owner}/{title}", *config, split=split or None, streaming=True)
    except Exception as error:  # network, permissions, unknown names: the library has a dozen types for them
        cause = str(error).split("\n", 1)[0]
        raise DataError(
            f"the hub did not give it ({type(error).__name__}: {cause})",
            where=name,
            remedy="Is it the name of a data set (owner/name[/config][:split]), or a misspelt file?",
        ) from error
    if split:
        return found
    if "train" in found:
        return found["train"]
    raise DataError(
        f"it has the splits {', '.join(found)}", where=name, remedy=f"Name one: {name}:{next(iter(found))}."
    )
