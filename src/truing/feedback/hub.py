"""Data sets of Hugging Face: folders of `save_to_disk`, and names on the hub."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from truing.errors import DataError
from truing.feedback.files import ENDINGS, OnBad, Row, container
from truing.feedback.files.values import is_row

__all__ = ["from_disk", "from_hub", "is_name", "rows"]

_NAME = re.compile(r"[\w.-]+/[\w.-]+(/[\w.-]+)?(:[\w.\[\]%:+-]+)?")


def is_name(source: str) -> bool:
    """Whether it is `owner/name[/config][:split]`."""
    # A folder of this name makes it a path with a misspelt end rather than a name on the hub.
    return bool(_NAME.fullmatch(source)) and not Path(source).parent.is_dir() and container(Path(source))[0] is None


def rows(where: str, dataset: Any, on_bad: OnBad) -> Iterator[tuple[str, Row]]:
    """(where, row) of a data set one after the other."""
    number = 0
    try:
        for number, row in enumerate(dataset, 1):
            if is_row(row, f"{where}:row {number}", on_bad):
                yield f"{where}:row {number}", row
    except DataError:
        raise
    except Exception as error:  # network and damaged files: the library has a dozen types for them
        cause = f"{type(error).__name__}: {str(error).split(chr(10), 1)[0]}"
        raise DataError(f"it cannot be read on after row {number} ({cause})", where=where) from error


def from_disk(folder: Path) -> Any:
    """The data set in a folder."""
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


def from_hub(name: str) -> Any:
    """The data set of this name, streamed."""
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
