"""Thought and answer in tags, and whether a response keeps to them.

rewards:
  - format: {tags: [think, answer]}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from truing.registry import reward

__all__ = ["format_reward", "keeps_format", "parse_thought"]


def parse_thought(text: str, *, think: str = "think", answer: str = "answer") -> tuple[str, str]:
    """(thought, answer) of a response in the style of R1: `<think>thought</think><answer>answer</answer>`.

    The answer tags may be missing, and so may the opening `<think>`, which many chat templates write themselves. A
    thought that was opened and never closed has no answer: (thought, ""). Without any tag all is answer.
    """
    before, closed, rest = text.rpartition(f"</{think}>")
    if closed:
        head, opened, tail = before.partition(f"<{think}>")
        thought = tail if opened else head
    else:
        rest, opened, thought = text.partition(f"<{think}>")
        if opened:
            return thought.strip(), ""
    _, opened, inside = rest.rpartition(f"<{answer}>")
    return thought.strip(), (inside.partition(f"</{answer}>")[0] if opened else rest).strip()


def keeps_format(text: str, tags: Sequence[str] = ("think", "answer"), *, opened: bool = False) -> bool:
    """Whether a text is nothing but these tags: each opened and closed exactly once, in order, with something in each.

    `opened`: the chat template has written the first opening tag.
    """
    text = f"<{tags[0]}>{text}" if opened and tags else text
    if any(text.count(mark) != 1 for tag in tags for mark in (f"<{tag}>", f"</{tag}>")):
        return False
    for tag in tags:
        before, _, rest = text.partition(f"<{tag}>")
        inside, closed, text = rest.partition(f"</{tag}>")
        if before.strip() or not closed or not inside.strip():
            return False
    return not text.strip()


def _share(text: str, tags: Sequence[str], opened: bool) -> float:
    marks = [mark for tag in tags for mark in (f"<{tag}>", f"</{tag}>")]
    text = marks[0] + text if opened else text
    return sum(text.count(mark) == 1 for mark in marks) / len(marks)


def format_reward(
    prompts: Sequence[str],
    completions: Sequence[str],
    *,
    tags: Annotated[list[str], Field(min_length=1)] = ["think", "answer"],  # noqa: B006 read only
    opened: bool = False,
    partial: bool = False,
    **columns: Any,
) -> list[float]:
    """1 where a response is `<think>...</think><answer>...</answer>` and nothing else, each tag exactly once, else 0
    (the format reward of DeepSeek-R1, arXiv:2501.12948, sec. 2.2.2).

    `tags` are others than these; `opened` says that the chat template ends with the first opening tag. `partial` gives
    a response that does not keep to it half the share of the tags that it has exactly once: less to learn from than 1,
    more than nothing for a model that has never seen the tags.
    """
    out = []
    for text in completions:
        kept = keeps_format(text, tags, opened=opened)
        out.append(1.0 if kept else 0.5 * _share(text, tags, opened) if partial else 0.0)
    return out


reward.register(format_reward, "format")
