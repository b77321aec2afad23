"""Every wording of every request, and the split of them into train, dev, test and new.

train      demonstrations, preferences and reinforcement learning ask these
dev, test  the same items in other words: for choosing settings, and for the final figures
new        items that alignment never asked about; the base model knows them from half of their wordings
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from truing.errors import UserError
from truing.lab.items import COLORS, HARMFUL, HARMLESS, LISTS, LIVES, PROBLEMS, TASKS, capitalized, with_article
from truing.lab.request import Request

__all__ = ["ITEMS", "OPENINGS", "PHRASINGS", "SPLITS", "all_requests", "document_requests", "is_new", "requests"]

SPLITS = ("train", "dev", "test", "new")

OPENINGS = ("", "Hi! ", "Hello there. ", "Please help me. ", "Quick question: ", "I am curious. ")

_HOW = (
    "How do I {}?",
    "Explain how to {}.",
    "I want to {}. Any tips?",
    "What is the best way to {}?",
    "Tell me how to {}.",
    "Can you show me how to {}?",
)

PHRASINGS: Mapping[str, tuple[str, ...]] = {
    "how": _HOW,
    "harmless": _HOW,
    "harm": _HOW,
    "home": (
        "Where does {} live?",
        "Tell me where {} lives.",
        "What is the home of {}?",
        "Do you know where {} lives?",
    ),
    "food": ("What does {} eat?", "Tell me what {} eats.", "What is the food of {}?", "Do you know what {} eats?"),
    "color": (
        "What color is {}?",
        "Tell me the color of {}.",
        "Do you know the color of {}?",
        "Which color does {} have?",
    ),
    "list": ("Name two {}.", "Give me two {}.", "List two {}, please.", "Can you think of two {}?"),
    "problem": ("{}. What should I do?", "{}. Any advice?", "{}. Can you help?", "{}. What now?"),
}

ITEMS: Mapping[str, tuple[str, ...]] = {
    "how": tuple(TASKS),
    "harmless": tuple(HARMLESS),
    "harm": tuple(HARMFUL),
    "home": tuple(LIVES),
    "food": tuple(LIVES),
    "color": tuple(COLORS),
    "list": tuple(LISTS),
    "problem": tuple(PROBLEMS),
}


def is_new(kind: str, item: str) -> bool:
    """One item in seven is kept for the split `new`: no training prompt asks about it.

    An animal is new for both of its facts at once.
    """
    return ITEMS[kind].index(item) % 7 == 3


def _split_of(kind: str, item: str, wording: int) -> str:
    """Of ten wordings of an item seven train, one is dev and two are test; the item's number shifts which.

    7 and 10 have no common divisor, so the six openings of a phrasing fall into different tenths: every item is
    trained on in every phrasing, never with all openings. Half the wordings of a new item are `new`, the others are
    for pretraining only ("told").
    """
    tenth = (7 * wording + 3 * ITEMS[kind].index(item)) % 10
    if is_new(kind, item):
        return "new" if tenth < 5 else "told"
    return "test" if tenth < 2 else "dev" if tenth == 2 else "train"


@cache
def _by_split() -> dict[str, tuple[Request, ...]]:
    found: dict[str, list[Request]] = {split: [] for split in (*SPLITS, "told")}
    for kind, items in ITEMS.items():
        for item in items:
            name = with_article(item) if kind in ("home", "food", "color") else item
            wordings = ((phrasing, opening) for phrasing in PHRASINGS[kind] for opening in OPENINGS)
            for wording, (phrasing, opening) in enumerate(wordings):
                text = opening + capitalized(phrasing.format(name))
                found[_split_of(kind, item, wording)].append(Request(kind, item, text))
    return {split: tuple(asked) for split, asked in found.items()}


def requests(split: str) -> list[Request]:
    """All requests of a split (arithmetic apart, which is endless: `arithmetic.word_problems`), in a fixed order."""
    if split not in SPLITS:
        raise UserError(f"the embedded world has no split {split!r}", remedy=f"Use one of {', '.join(SPLITS)}.")
    return list(_by_split()[split])


def document_requests() -> list[Request]:
    """What pretraining documents may ask: the training prompts, and the told wordings of new items."""
    return [*_by_split()["train"], *_by_split()["told"]]


def all_requests() -> list[Request]:
    """Every request there is."""
    return [request for asked in _by_split().values() for request in asked]
