"""Whether a response is JSON that fits a schema.

rewards:
  - json_schema: {schema: {type: object, required: [name]}}
data column `schema`, where prompts ask for different ones: the schema, or a text of it
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from truing.errors import DataError, RecipeError
from truing.registry import reward
from truing.rewards.format import parse_thought
from truing.rewards.guarded import Guarded

__all__ = ["JsonSchema", "unfenced"]


def unfenced(text: str) -> str:
    """The inside of a text that is one Markdown code block; any other text as it is."""
    text = text.strip()
    if len(text) < 6 or not (text.startswith("```") and text.endswith("```")):
        return text
    inside = text[3:-3]
    first, newline, rest = inside.partition("\n")
    if newline and first.strip().casefold() in ("", "json"):
        return rest.strip()
    return inside.strip().removeprefix("json").strip()


class JsonSchema:
    """1 where a response is JSON that fits the row's column `schema`, else the setting `schema`; 0 where it does not;
    None where neither is given.

    What answers is what follows a thought in think tags; with `fence` it may be a Markdown code block. NaN is not JSON.
    `$ref`s are followed within a schema and to the official ones, and nothing is ever fetched. What takes more than
    `seconds` of processor time or `memory` MiB earns 0. Needs jsonschema: pip install "truing[json]".
    """

    # Read by the registry: the types of the settings.
    schema: dict[str, Any] | None
    fence: bool
    seconds: int
    memory: int

    def __init__(
        self,
        *,
        schema: dict[str, Any] | None = None,
        fence: bool = True,
        seconds: Annotated[int, Field(ge=1)] = 2,
        memory: Annotated[int, Field(ge=64)] = 512,
    ) -> None:
        if importlib.util.find_spec("jsonschema") is None:
            raise RecipeError(
                "jsonschema is not installed",
                where="reward `json_schema`",
                remedy='Install it: pip install "truing[json]".',
            )
        self.schema, self.fence, self.seconds, self.memory = schema, fence, seconds, memory
        self._guarded = Guarded("json_schema", seconds=seconds, memory=memory)

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[str],
        *,
        schema: Sequence[Any] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """One reward per completion."""
        cells = [None] * len(completions) if schema is None else schema
        return [self._one(text, cell) for text, cell in zip(completions, cells, strict=True)]

    def _one(self, text: str, cell: Any) -> float | None:
        where = "reward `json_schema`, " + ("setting `schema`" if cell is None else "column `schema`")
        wanted = self.schema if cell is None else _schema(cell, where)
        if wanted is None:
            return None
        _, answer = parse_thought(text)
        found = self._guarded.ask(wanted, unfenced(answer) if self.fence else answer)
        if isinstance(found, str):
            raise DataError(f"no schema: {found}", where=where, remedy="Schemas are checked as JSON Schema says.")
        return float(found is True)


def _schema(cell: Any, where: str) -> Any:
    if isinstance(cell, str):
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError) as error:
            raise DataError(f"it holds {cell!r:.60}, which is no JSON", where=where) from error
    if not isinstance(cell, dict):
        raise DataError(f"it holds {cell!r:.60}", where=where, remedy="A schema is an object, or a text of one.")
    return cell


reward.register(JsonSchema, "json_schema")
