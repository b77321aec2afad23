"""Groups of items: in the store they are JSON and never change, so those last used are kept."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from typing import Any

from sqlalchemy import Connection, select

from truing.feedback import formats
from truing.group import Group
from truing.studio.errors import AnswerError
from truing.studio.store.tables import Items

__all__ = ["GroupCache", "as_json", "digest", "from_json"]

_ROOM = 256
_LARGEST = 200_000
"""Characters of prompt and responses: larger groups are read anew each time."""


def as_json(group: Group) -> dict[str, Any]:
    """A group as JSON."""
    return formats.get("group").write(group)


def from_json(value: dict[str, Any], where: str) -> Group:
    """The group again."""
    return formats.get("group").read(value, where)


def digest(value: dict[str, Any]) -> str:
    """What makes two groups the same item: prompt and responses in whatever order, not what was said about them."""
    responses = sorted(json.dumps(response, sort_keys=True) for response in value["responses"])
    return hashlib.sha256(json.dumps([value["prompt"], responses], sort_keys=True).encode()).hexdigest()


class GroupCache:
    """The groups that were used last."""

    def __init__(self) -> None:
        self._groups: OrderedDict[int, Group] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, conn: Connection, item_id: int) -> Group:
        """The item's group."""
        with self._lock:
            found = self._groups.get(item_id)
            if found is not None:
                self._groups.move_to_end(item_id)
                return found
        value = conn.execute(select(Items.group).where(Items.id == item_id)).scalar()
        if value is None:
            raise AnswerError(f"there is no item {item_id}")
        group = from_json(value, f"item {item_id}")
        if len(group.prompt.text) + sum(len(r.text) for r in group.responses) <= _LARGEST:
            with self._lock:
                self._groups[item_id] = group
                while len(self._groups) > _ROOM:
                    self._groups.popitem(last=False)
        return group
