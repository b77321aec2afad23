"""Whether the code in a response does what it should: its tests run in the sandbox.

rewards:
  - code: {how: share}
data columns: `test` + `entry_point` (HumanEval), `test_list` (MBPP), or `tests`: [{"input": ..., "output": ...}]
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from truing.errors import DataError
from truing.registry import reward
from truing.rewards.format import parse_thought
from truing.rewards.sandbox import Limits, Sandbox, UnitTests

__all__ = ["CodeReward", "Task", "code_of", "same_output", "task_of"]

_FENCE = re.compile(r"^[ \t]*```[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:^[ \t]*```[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_TESTS = ("test", "test_list", "tests", "input_output")
_PYTHON = ("", "python", "python3", "py")


@dataclass(frozen=True, slots=True)
class Task:
    """What a row asks of code: `tests` of its functions, or `cases`, each standard input and the output to it."""

    tests: UnitTests | None = None
    cases: tuple[tuple[str, str], ...] = ()


def defines(code: str, name: str) -> bool:
    """Whether a code looks as if it defined a name. Not parsed: parsing hostile text can take the interpreter down."""
    escaped = re.escape(name)
    pattern = rf"^(?:async[ \t]+def|def|class)[ \t]+{escaped}\b|^{escaped}[ \t]*[:=]"
    return re.search(pattern, code, re.MULTILINE) is not None


def code_of(completion: str, entry_point: str | None = None) -> str:
    """The code in a response: of the fenced Python blocks behind its thought the last that defines the entry point,
    else the last; without a block the whole response. A block that is cut off counts as far as it goes.
    """
    thought, answer = parse_thought(completion)
    if not thought and answer == completion.strip():
        answer = completion  # its first spaces may be the indentation of a function that it continues
    blocks = [body for language, body in _FENCE.findall(answer) if language.lower() in _PYTHON]
    fitting = [block for block in blocks if entry_point and defines(block, entry_point)]
    found: str = (fitting or blocks or [answer])[-1]
    return found


def same_output(found: str, wanted: str) -> bool:
    """Whether two outputs agree but for spaces at the ends of lines and empty lines at the end."""
    return _lines(found) == _lines(wanted)


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]


def task_of(prompt: str, row: Mapping[str, Any], where: str) -> Task | None:
    """What the columns of a row ask for; None where they hold no tests. `DataError` where they cannot be read."""

    def refuse(found: str, remedy: str) -> DataError:
        return DataError(found, where=where, remedy=remedy)

    given = [name for name in _TESTS if row.get(name)]
    if not given:
        return None
    if len(given) > 1:
        raise refuse(f"tests in more than one column: {', '.join(given)}", "Leave one of them.")
    value, entry_point = row[given[0]], row.get("entry_point") or None
    if entry_point is not None and not (isinstance(entry_point, str) and entry_point.isidentifier()):
        raise refuse(f"`entry_point` is {entry_point!r:.60}", "It is the name of the function that the tests call.")
    setup = row.get("test_setup_code") or ""
    preamble = prompt if entry_point and defines(prompt, entry_point) else ""
    match given[0]:
        case "test":
            if not isinstance(value, str):
                raise refuse(f"`test` is {value!r:.60}", "It is Python: HumanEval's `check`, or functions `test_...`.")
            return Task(UnitTests(file=value, setup=setup, preamble=preamble, entry_point=entry_point))
        case "test_list":
            if not isinstance(value, list | tuple) or not all(isinstance(test, str) for test in value):
                raise refuse(f"`test_list` is {value!r:.60}", "It is a list of statements, `assert f(1) == 2`.")
            return Task(UnitTests(each=tuple(value), setup=setup, preamble=preamble, entry_point=entry_point))
        case "input_output":
            value = _paired(value, refuse)
    if not isinstance(value, list | tuple):
        raise refuse(f"`{given[0]}` is {value!r:.60}", 'It is a list of {"input": TEXT, "output": TEXT}.')
    cases = []
    for case in value:
        texts = (case.get("input"), case.get("output")) if isinstance(case, Mapping) else (None, None)
        if not (isinstance(texts[0], str) and isinstance(texts[1], str)):
            raise refuse(f"a test is {case!r:.80}", 'It is {"input": TEXT, "output": TEXT}.')
        cases.append((texts[0], texts[1]))
    return Task(cases=tuple(cases))


def _paired(value: Any, refuse: Any) -> list[dict[str, Any]]:
    """The cases of APPS and TACO: {"inputs": [...], "outputs": [...]}, or that as a JSON text."""
    try:
        said = json.loads(value) if isinstance(value, str) else value
        if said.get("fn_name"):
            raise refuse(
                f"`input_output` calls a function, `{said['fn_name']}`",
                "Write its calls into `test_list`: assert f(1) == 2.",
            )
        return [{"input": i, "output": o} for i, o in zip(said["inputs"], said["outputs"], strict=True)]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        remedy = 'It is {"inputs": [TEXT, ...], "outputs": [TEXT, ...]}.'
        raise refuse(f"`input_output` is {value!r:.60}", remedy) from error


class CodeReward:
    """Whether the code in a response passes its row's tests: 1 or 0 (`how: all`), or the `share` of them that pass.

    The code is the last fenced Python block. Tests: `test` with `entry_point` (HumanEval), `test_list` (MBPP), `tests`
    or `input_output` (standard input and output). A row without any gets None. It runs in the sandbox, `workers` at a
    time; `unsafe` lets it run where there is none. Limits are those of a run: all tests of a function, one case of a
    program.
    """

    one_of: ClassVar = _TESTS

    # Read by the registry: the types of the settings.
    how: Literal["all", "share"]
    cpu_seconds: int
    wall_seconds: float
    memory_mb: int
    workers: int | None
    unsafe: bool

    def __init__(
        self,
        *,
        how: Literal["all", "share"] = "all",
        cpu_seconds: Annotated[int, Field(gt=0)] = 5,
        wall_seconds: Annotated[float, Field(gt=0)] = 15.0,
        memory_mb: Annotated[int, Field(gt=0)] = 512,
        workers: Annotated[int, Field(gt=0)] | None = None,
        unsafe: bool = False,
    ) -> None:
        self.how = how
        self.limits = Limits(cpu_seconds=cpu_seconds, wall_seconds=wall_seconds, memory=memory_mb << 20)
        self.sandbox = Sandbox(workers=workers, unsafe=unsafe)

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[str],
        *,
        test: Sequence[Any] | None = None,
        entry_point: Sequence[Any] | None = None,
        test_list: Sequence[Any] | None = None,
        test_setup_code: Sequence[Any] | None = None,
        tests: Sequence[Any] | None = None,
        input_output: Sequence[Any] | None = None,
    ) -> list[float | None]:
        """One reward per completion; None where its row has no tests."""
        columns = {
            "test": test,
            "entry_point": entry_point,
            "test_list": test_list,
            "test_setup_code": test_setup_code,
            "tests": tests,
            "input_output": input_output,
        }
        jobs: list[tuple[str, Task | None]] = []
        for i, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
            row = {name: values[i] for name, values in columns.items() if values is not None}
            task = task_of(prompt if isinstance(prompt, str) else "", row, f"reward `code`, completion {i}")
            called = task.tests.entry_point if task and task.tests else None
            jobs.append((code_of(completion, called), task))
        return self.sandbox.map(self._judge, jobs)

    def _judge(self, job: tuple[str, Task | None]) -> float | None:
        code, task = job
        if task is None:
            return None
        every = self.how == "share"
        if task.tests is not None:
            verdict = self.sandbox.check(code, task.tests, limits=self.limits, every=every)
            return verdict.passed / verdict.total if every else float(verdict.all_passed)
        passed = 0
        for stdin, wanted in task.cases:
            outcome = self.sandbox.run(code, stdin=stdin, limits=self.limits)
            good = outcome.status == "ok" and same_output(outcome.stdout, wanted)
            passed += good
            if not (good or every):
                return 0.0
        return passed / len(task.cases)


reward.register(CodeReward, "code")
