"""Whether a regular expression is found in a response.

rewards:
  - regex: {pattern: "\\\\bDear (Mr|Mrs|Ms)\\\\b"}
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from truing.registry import reward
from truing.rewards.exact import Part, said
from truing.rewards.guarded import Guarded

__all__ = ["Regex"]


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from error
    return pattern


class Regex:
    """1 where `pattern` (Python's `re`) is found in a response, else 0; with `forbid` the other way round.

    `whole`: it has to match from beginning to end. Case counts unless the pattern starts with (?i). `part`: `all`, the
    `answer` behind a thought, or its `last_line`. A search that takes more than `seconds` of processor time, as
    patterns like (a+)+$ do on some texts, earns 0 either way.
    """

    # Read by the registry: the types of the settings.
    pattern: str
    whole: bool
    forbid: bool
    part: Part
    seconds: int

    def __init__(
        self,
        *,
        pattern: Annotated[str, AfterValidator(_compiles)],
        whole: bool = False,
        forbid: bool = False,
        part: Part = "all",
        seconds: Annotated[int, Field(ge=1)] = 2,
    ) -> None:
        self.pattern, self.whole, self.forbid, self.part, self.seconds = pattern, whole, forbid, part, seconds
        self._guarded = Guarded("regex", seconds=seconds)

    def __call__(self, prompts: Sequence[Any], completions: Sequence[str], **columns: Any) -> list[float]:
        """One reward per completion."""
        found = [self._guarded.ask(self.pattern, 0, self.whole, said(text, self.part)) for text in completions]
        return [0.0 if one is None else float(one is not self.forbid) for one in found]


reward.register(Regex, "regex")
