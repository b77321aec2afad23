"""Whether the final answer of a solution is the reference.

rewards:
  - math
data column `answer`: "3/4", "\\\\frac{3}{4}", or a worked solution that ends in "#### 72" (GSM8K)
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from queue import SimpleQueue
from typing import Annotated, Any

from pydantic import Field

from truing.errors import DataError, RecipeError
from truing.registry import reward
from truing.rewards.answers import Form, final_answer, number, plain, reference_answer, same_number
from truing.rewards.guarded import Guarded

__all__ = ["Math"]

_WORDS = re.compile(r"\s*\\(?:text|mbox|mathrm|textbf)\s*\{([^{}]*[A-Za-z][^{}]*)\}\s*")


class Math:
    """1 where the final answer of a response equals the reference in the column `answer`, else 0.

    The final answer is the inside of the last `\\boxed{}`, else what follows the last `####`, else the last "answer
    is", else the last number; `form` (`boxed`, `hash`, `phrase`) takes that form alone. Plain numbers, fractions,
    percentages, amounts and units are compared exactly and by us: 1,234.50, $5, 72 %, 2 1/2, 5 km (a unit is not
    compared). All else goes to math-verify, at most `seconds` of processor time and `memory` MiB an answer; what takes
    more is wrong. `workers` are so many answers at a time, each in a process. With `symbolic` off nothing goes there,
    it need not be installed, and what is no number is wrong.
    """

    # Read by the registry: the types of the settings.
    form: Form
    symbolic: bool
    seconds: int
    memory: int
    workers: int

    def __init__(
        self,
        *,
        form: Form = "any",
        symbolic: bool = True,
        seconds: Annotated[int, Field(ge=1)] = 5,
        memory: Annotated[int, Field(ge=64)] = 1024,
        workers: Annotated[int, Field(ge=1)] = 1,
    ) -> None:
        if symbolic and importlib.util.find_spec("math_verify") is None:
            raise RecipeError(
                "math-verify is not installed",
                where="reward `math`",
                remedy='Install it: pip install "truing[math]". For answers that are plain numbers `symbolic: false` '
                "does without.",
            )
        self.form, self.symbolic, self.seconds, self.memory = form, symbolic, seconds, memory
        self.workers = workers
        self._processes = [Guarded("math", seconds=seconds, memory=memory) for _ in range(workers)]
        self._idle: SimpleQueue[Guarded] = SimpleQueue()
        for process in self._processes:
            self._idle.put(process)

    def __call__(
        self, prompts: Sequence[Any], completions: Sequence[str], *, answer: Sequence[Any], **columns: Any
    ) -> list[float | None]:
        """One reward per completion; None where the row has no `answer`."""
        references = [None if cell is None else self._reference(cell) for cell in answer]
        said = [final_answer(text, self.form) for text in completions]
        asked = list(zip(references, said, strict=True))
        pairs = list({(a, b): None for a, b in asked if a is not None and b is not None})  # samples agree often
        with ThreadPoolExecutor(self.workers) as pool:
            known = dict(zip(pairs, pool.map(lambda pair: self.same(*pair), pairs), strict=True))
        return [None if a is None else 0.0 if b is None else float(known[a, b]) for a, b in asked]

    def vote(self, text: str) -> Fraction | str | None:
        """The final answer of a response in one spelling: 3, 3.0 and 6/2 are one, 1/2 and 50 % two."""
        if (said := final_answer(text, self.form)) is None:
            return None
        found = number(said)
        if found is None:
            return plain(said).replace(" ", "") or None
        return f"{found.value}%" if found.percent else found.value

    def same(self, reference: str, answer: str) -> bool:
        """Whether two answers, without the solutions around them, are the same."""
        if words := _WORDS.fullmatch(reference):
            # As a formula "east" is e·a·s·t, and so is "seat".
            return _word(words.group(1)) == _word(answer)
        ours, theirs = number(reference), number(answer)
        if ours is not None and theirs is not None:
            return same_number(ours, theirs)
        if plain(reference).replace(" ", "") == plain(answer).replace(" ", ""):
            return True
        if not self.symbolic:
            return False
        process = self._idle.get()
        try:
            return process.ask(plain(reference), plain(answer)) is True
        finally:
            self._idle.put(process)

    def _reference(self, cell: Any) -> str:
        if isinstance(cell, bool) or not isinstance(cell, str | int | float):
            raise DataError(
                f"a reference is {cell!r:.60}", where="reward `math`, column `answer`", remedy="It should be a text."
            )
        found = reference_answer(str(cell))
        if found is None:
            raise DataError(
                f"a reference has no answer in it: {cell!r:.60}",
                where="reward `math`, column `answer`",
                remedy="Rows without one leave the column out, or hold null.",
            )
        if not self.symbolic and number(found) is None:
            raise DataError(
                f"the reference {found!r:.60} is no plain number",
                where="reward `math`, column `answer`",
                remedy='Only numbers are read with `symbolic: false`. For others: pip install "truing[math]".',
            )
        return found


def _word(text: str) -> str:
    return plain(text if (inner := _WORDS.fullmatch(text)) is None else inner.group(1)).strip("() ").casefold()


reward.register(Math, "math")
