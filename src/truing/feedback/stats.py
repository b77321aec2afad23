"""What is in feedback, in numbers. One pass, in memory that does not grow with the texts."""

from __future__ import annotations

import hashlib
import marshal
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from truing.errors import DataError
from truing.feedback.reading import read
from truing.feedback.seen import Seen
from truing.group import Group, Labels, Message, Ranking, Scores, StepLabels

__all__ = ["Lengths", "Spread", "Stats", "fingerprint", "stats", "summary"]


@dataclass(frozen=True, slots=True)
class Spread:
    """How numbers are spread. The q-quantile is the smallest one that at least a share q does not exceed."""

    count: int
    mean: float
    min: int
    p10: int
    median: int
    p90: int
    p99: int
    max: int

    @classmethod
    def of(cls, counts: Counter[int]) -> Spread | None:
        """From how often each number was seen; None for nothing."""
        total = sum(counts.values())
        if not total:
            return None
        ordered = sorted(counts.items())

        def quantile(percent: int) -> int:
            seen = 0
            for value, number in ordered:
                seen += number
                if seen * 100 >= total * percent:
                    return value
            raise AssertionError("a share of at most 100 %")

        mean = sum(value * number for value, number in ordered) / total
        return cls(total, mean, ordered[0][0], quantile(10), quantile(50), quantile(90), quantile(99), ordered[-1][0])


@dataclass(frozen=True, slots=True)
class Lengths:
    """Of texts, in characters and in words (what white space separates)."""

    characters: Spread | None
    words: Spread | None


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts over groups."""

    num_groups: int
    num_responses: int
    num_feedback: int
    kinds: dict[str, int]
    """Groups by what they hold: `prompt` (no response), `demonstration` (one, not judged), `samples` (several, not
    judged), or the name of the feedback in small letters; groups with several kinds count in each."""
    responses: dict[int, int]
    """How many groups have K responses, by K."""
    turns: dict[int, int]
    """How many prompts have so many turns."""
    num_pairs: int
    """Comparisons that the rankings imply: (better, worse)."""
    num_ties: int
    """Rankings in which at least two responses share a rank."""
    num_identical: int
    """Groups of two whose responses are the same."""
    num_duplicates: int
    """Groups that are there before, with the same prompt, responses and feedback."""
    num_repeated_prompts: int
    """Groups whose prompt was there before."""
    num_empty: int
    """Responses in which the assistant says nothing."""
    num_longer: int
    """Of `num_pairs`, those whose better response has more characters ..."""
    num_shorter: int
    """... or fewer: a reward model may learn length instead of quality."""
    labels: dict[str, int]
    """Thumbs and step labels by value: `up`, `down`; `right`, `neutral`, `wrong`."""
    aspects: dict[str, int]
    """Scores given, by aspect."""
    annotators: dict[str, int]
    """Feedback by `annotator_id`."""
    columns: dict[str, int]
    """Groups that have the extra column."""
    prompt: Lengths
    response: Lengths
    skipped: list[DataError] = field(default_factory=list)

    @property
    def num_annotators(self) -> int:
        return len(self.annotators)

    @property
    def longer_share(self) -> float | None:
        """Share of comparisons of unequal length in which the better one is longer; 0.5 = no length bias."""
        unequal = self.num_longer + self.num_shorter
        return self.num_longer / unequal if unequal else None

    def text(self) -> str:
        """For people."""
        lines = [f"groups        {self.num_groups} ({_listed(self.kinds)})", f"responses     {self.num_responses}"]
        lines.append(f"per group     {_listed(self.responses)} (responses: groups)")
        lines.append(f"prompt turns  {_listed(self.turns)} (turns: groups)")
        if "ranking" in self.kinds:
            lines.append(f"comparisons   {self.num_pairs}; {self.num_ties} rankings with ties")
            if self.longer_share is not None:
                lines.append(f"better longer {self.longer_share:.1%} of those of unequal length")
        lines += [
            f"{name:13} {_listed(counts)}"
            for name, counts in (("labels", self.labels), ("scores", self.aspects), ("columns", self.columns))
            if counts
        ]
        if self.annotators:
            lines.append(f"annotators    {self.num_annotators} ({_listed(self.annotators)})")
        for name, lengths in (("prompt", self.prompt), ("response", self.response)):
            for unit, spread in (("words", lengths.words), ("characters", lengths.characters)):
                if spread:
                    quantiles = f"median {spread.median}, 90 % {spread.p90}, 99 % {spread.p99}, longest {spread.max}"
                    lines.append(f"{name:13} {unit}: {quantiles}")
        for what, number in (
            ("equal pairs", self.num_identical),
            ("duplicates", self.num_duplicates),
            ("same prompt", self.num_repeated_prompts),
            ("empty", self.num_empty),
            ("skipped", len(self.skipped)),
        ):
            if number:
                lines.append(f"{what:13} {number}")
        lines += [f"  {error.where}: {error.found}" for error in self.skipped[:20]]
        return "\n".join(lines)


def _listed(counts: dict[str, int] | dict[int, int], most: int = 8) -> str:
    items = list(counts.items())
    more = f", … {len(items) - most} more" if len(items) > most else ""
    return ", ".join(f"{name}: {number}" for name, number in items[:most]) + more


def fingerprint(*parts: object) -> bytes:
    """16 bytes that are the same for the same parts: groups' parts, and tuples, lists and plain values."""
    # version 2: later ones write equal values differently, depending on who else refers to them
    return hashlib.blake2b(marshal.dumps(_plain(parts), 2), digest_size=16).digest()


@cache
def _fields(kind: Any) -> tuple[str, ...] | None:
    return tuple(each.name for each in fields(kind)) if is_dataclass(kind) else None


def _plain(part: Any) -> Any:
    """The same as tuples of plain values; everything else as it is shown."""
    if part is None or type(part) in (str, int, float, bool, bytes):
        return part
    if isinstance(part, tuple | list):
        return tuple([_plain(each) for each in part])
    kind: Any = type(part)
    if names := _fields(kind):
        return (kind.__name__, *[_plain(getattr(part, name)) for name in names])
    return repr(part)


def kinds(group: Group) -> list[str]:
    """What a group holds; see `Stats.kinds`."""
    if group.feedback:
        return sorted({type(said).__name__.lower() for said in group.feedback})
    return [("prompt", "demonstration")[len(group.responses)] if len(group.responses) < 2 else "samples"]


class _Texts:
    def __init__(self) -> None:
        self.characters: Counter[int] = Counter()
        self.words: Counter[int] = Counter()

    def add(self, text: str) -> None:
        self.characters[len(text)] += 1
        self.words[len(text.split())] += 1

    def lengths(self) -> Lengths:
        return Lengths(Spread.of(self.characters), Spread.of(self.words))


def summary(groups: Iterable[Group]) -> Stats:
    """The numbers of groups, whatever they come from."""
    count: Counter[str] = Counter()
    found: dict[str, Counter[str]] = {
        name: Counter() for name in ("kinds", "labels", "aspects", "annotators", "columns")
    }
    sizes: Counter[int] = Counter()
    turns: Counter[int] = Counter()
    prompts, responses = _Texts(), _Texts()
    seen, seen_prompts = Seen(), Seen()
    for group in groups:
        texts = [response.text for response in group.responses]
        count["groups"] += 1
        count["responses"] += len(texts)
        count["feedback"] += len(group.feedback)
        count["empty"] += sum(not text.strip() for text in texts)
        count["identical"] += len(texts) == 2 and group.responses[0] == group.responses[1]
        found["kinds"].update(kinds(group))
        found["columns"].update(map(str, group.columns))
        sizes[len(texts)] += 1
        turns[len(group.prompt.messages)] += 1
        prompts.add(_words(group.prompt.messages))
        for text in texts:
            responses.add(text)
        for said in group.feedback:
            if said.annotator_id is not None:
                found["annotators"][said.annotator_id] += 1
            _count(said, [len(text) for text in texts], count, found)
        prompt = fingerprint(group.prompt)
        for known, key, name in (
            (seen_prompts, prompt, "repeated_prompts"),
            (seen, fingerprint(prompt, group.responses, group.feedback), "duplicates"),
        ):
            count[name] += known.again(key)
    return Stats(
        num_groups=count["groups"],
        num_responses=count["responses"],
        num_feedback=count["feedback"],
        kinds=dict(found["kinds"].most_common()),
        responses=dict(sorted(sizes.items())),
        turns=dict(sorted(turns.items())),
        num_pairs=count["pairs"],
        num_ties=count["ties"],
        num_identical=count["identical"],
        num_duplicates=count["duplicates"],
        num_repeated_prompts=count["repeated_prompts"],
        num_empty=count["empty"],
        num_longer=count["longer"],
        num_shorter=count["shorter"],
        labels=dict(found["labels"].most_common()),
        aspects=dict(found["aspects"].most_common()),
        annotators=dict(found["annotators"].most_common()),
        columns=dict(found["columns"].most_common()),
        prompt=prompts.lengths(),
        response=responses.lengths(),
    )


def _words(messages: tuple[Message, ...]) -> str:
    return "\n".join(m.content for m in messages)


def _count(said: object, lengths: list[int], count: Counter[str], found: dict[str, Counter[str]]) -> None:
    match said:
        case Ranking(ranks=ranks):
            named = [rank for rank in ranks if rank is not None]
            count["ties"] += len(set(named)) < len(named)
            for better, worse in said.pairs():
                count["pairs"] += 1
                count["longer"] += lengths[better] > lengths[worse]
                count["shorter"] += lengths[better] < lengths[worse]
        case Scores(values=aspects):
            found["aspects"].update({a: sum(v is not None for v in values) for a, values in aspects.items()})
        case Labels(values=thumbs):
            found["labels"].update("up" if thumb else "down" for thumb in thumbs if thumb is not None)
        case StepLabels(values=marks):
            words: dict[float, str] = {1: "right", 0: "neutral", -1: "wrong"}
            found["labels"].update(words.get(mark, "between") for row in marks for mark in row if mark is not None)


def stats(source: str | Path, *, format: str | None = None, skip_bad: bool = False) -> Stats:
    """The numbers of a file."""
    skipped: list[DataError] = []
    made = summary(read(source, format=format, skip_bad=skip_bad, skipped=skipped))
    made.skipped.extend(skipped)
    return made
