"""The kinds of task, one small file each. A new kind is one file and its name in this list."""

from __future__ import annotations

from typing import Any

from truing.errors import RegistryError
from truing.feedback.formats.cells import near
from truing.studio.kinds import critique, edit, pair, ranking, red_team, stars, steps, thumbs
from truing.studio.kinds.base import Answer, Kind, KindSettings, Units

__all__ = ["KINDS", "Answer", "Kind", "KindSettings", "Units", "get", "names"]

KINDS: dict[str, Kind[Any]] = {
    module.KIND.name: module.KIND for module in (pair, ranking, thumbs, stars, steps, critique, edit, red_team)
}


def names() -> list[str]:
    """In the order in which they are offered."""
    return list(KINDS)


def get(name: str) -> Kind[Any]:
    """The kind of this name."""
    if name not in KINDS:
        meant = near(name, KINDS)
        raise RegistryError(
            f"there is no kind of task `{name}`",
            remedy=(f"Did you mean `{meant}`? " if meant else "") + f"Known: {', '.join(KINDS)}.",
        )
    return KINDS[name]
