"""The embedded world as groups and as JSONL rows, and the way back from a group to its request."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from truing.errors import DataError, UserError
from truing.group import Group, Response
from truing.lab.answers import mixed_answer
from truing.lab.arithmetic import SOLUTION_MIX, solution, word_problems
from truing.lab.calculation import is_calculation
from truing.lab.request import ARITHMETIC, Request
from truing.lab.wordings import ITEMS, requests

__all__ = [
    "demonstrations",
    "problems",
    "prompts",
    "request_of",
    "write_demonstrations",
    "write_problems",
    "write_prompts",
    "write_solutions",
]


def demonstrations(
    num: int, seed: int = 0, *, arithmetic: float = 0.375, solutions: Mapping[str, float] = SOLUTION_MIX
) -> list[Group]:
    """`num` answered training requests, of mixed quality on purpose; a share `arithmetic` are word problems.

    `solutions` weighs the ways to solve them. Were all demonstrations good, there would be nothing left to align.
    """
    rng = Random(f"demonstrations {seed}")
    asked = requests("train")
    num_problems = round(num * arithmetic)
    pairs = [(r, mixed_answer(r, rng)) for r in rng.choices(asked, k=num - num_problems)]
    for problem in word_problems("train", num_problems, seed):
        style = rng.choices(list(solutions), list(solutions.values()))[0]
        pairs.append((problem, solution(problem, style, rng)))
    rng.shuffle(pairs)
    return [Group(r.group.prompt, (Response.of(text),), columns=r.columns) for r, text in pairs]


def prompts(split: str, num: int | None = None, seed: int = 0) -> list[Group]:
    """Bare prompts of a split (train, dev, test, new): all in a fixed order, or `num` different ones drawn by seed."""
    asked = requests(split)
    if num is not None:
        if num > len(asked):
            raise UserError(
                f"{num} prompts were asked for, split {split} has {len(asked)}", remedy="Ask for fewer, or for all."
            )
        asked = Random(f"prompts {seed}").sample(asked, num)
    return [request.group for request in asked]


def problems(split: str, num: int, seed: int = 0) -> list[Group]:
    """`num` bare word problems of a split (train, dev, test), each with its `answer` as a column."""
    return [request.group for request in word_problems(split, num, seed)]


def request_of(group: Group) -> Request:
    """The request that a group was made from, found by its columns `kind` and `item`."""
    kind, item = str(group.columns.get("kind")), str(group.columns.get("item"))
    if not (is_calculation(item) if kind == ARITHMETIC else item in ITEMS.get(kind, ())):
        raise DataError(
            f"no request of the embedded world: kind {kind!r}, item {item!r}, prompt {group.prompt.text[:80]!r}",
            remedy="The lab's judge knows only prompts written by `truing lab`, with their columns `kind` and `item`.",
        )
    return Request(kind, item, group.prompt.text)


def write_demonstrations(
    path: str | Path,
    num: int,
    seed: int = 0,
    *,
    arithmetic: float = 0.375,
    solutions: Mapping[str, float] = SOLUTION_MIX,
) -> int:
    """Demonstrations as JSONL with TRL's column `messages`; returns the number of rows."""
    groups = demonstrations(num, seed, arithmetic=arithmetic, solutions=solutions)
    return _write(path, ({"messages": _messages(group), **group.columns} for group in groups))


def write_solutions(path: str | Path, num: int, seed: int = 0, *, direct: float = SOLUTION_MIX["direct"]) -> int:
    """Solved word problems, as `write_demonstrations` writes them; `direct` of them say the answer without a thought.

    Of the others two fifths are sloppy, as in the world's other demonstrations.
    """
    mix = {"direct": direct, "chain": 0.6 * (1 - direct), "sloppy": 0.4 * (1 - direct)}
    return write_demonstrations(path, num, seed, arithmetic=1.0, solutions=mix)


def write_prompts(path: str | Path, split: str, num: int | None = None, seed: int = 0) -> int:
    """Prompts as JSONL with TRL's conversational column `prompt`; returns the number of rows."""
    return _write(path, ({"prompt": _messages(group), **group.columns} for group in prompts(split, num, seed)))


def write_problems(path: str | Path, split: str, num: int, seed: int = 0) -> int:
    """Word problems as JSONL with the columns `prompt` and `answer`; returns the number of rows."""
    return _write(path, ({"prompt": _messages(group), **group.columns} for group in problems(split, num, seed)))


def _messages(group: Group) -> list[dict[str, str]]:
    turns = (*group.prompt.messages, *(m for response in group.responses for m in response.messages))
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def _write(path: str | Path, rows: Iterable[dict[str, Any]]) -> int:
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_text("".join(lines), encoding="utf-8")
    part.replace(path)  # whole or not at all, whenever the process is killed
    return len(lines)
