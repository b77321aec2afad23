"""Everything that Truing raises on purpose.

    TruingError                exit code 1   the work failed
    ├── UserError              exit code 2   the input is wrong; one message, no traceback
    │   ├── RecipeError                      a recipe key, type or combination
    │   ├── DataError                        a file, a row, a column
    │   ├── ModelError                       a model folder, a tokenizer, an architecture
    │   └── RegistryError                    a name nobody registered
    ├── TrainingError          exit code 1   training cannot go on
    │   └── NotFiniteError                   a loss or a gradient that is no number
    └── GateError              exit code 3   a gate said no

A message names the place, the value found and the remedy, in that order.
"""

from __future__ import annotations

__all__ = [
    "DataError",
    "GateError",
    "ModelError",
    "NotFiniteError",
    "RecipeError",
    "RegistryError",
    "TrainingError",
    "TruingError",
    "UserError",
]


class TruingError(Exception):
    """Base of all deliberate errors.

    `found` says what was found, `where` is the place (a file, a file and line, a recipe key) and `remedy`
    what the reader can do about it.
    """

    exit_code = 1

    def __init__(self, found: str, *, where: str | None = None, remedy: str | None = None) -> None:
        self.found, self.where, self.remedy = found, where, remedy
        place = f"{where}: " if where else ""
        cure = f"\n  {remedy}" if remedy else ""
        super().__init__(f"{place}{found}{cure}")


class UserError(TruingError):
    """The input is wrong and only its author can mend it."""

    exit_code = 2


class RecipeError(UserError):
    """A recipe that cannot mean anything: unknown key, wrong type, impossible combination."""


class DataError(UserError):
    """A file or a row that cannot be read as what it claims to be."""


class ModelError(UserError):
    """A model or tokenizer that cannot be loaded or used."""


class RegistryError(UserError):
    """A name that nothing was registered under."""


class TrainingError(TruingError):
    """Training cannot go on."""


class NotFiniteError(TrainingError):
    """A loss or a gradient that is no number; the weights are as they were before it."""


class GateError(TruingError):
    """A gate said no."""

    exit_code = 3
