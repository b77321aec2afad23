"""One kind of feedback as another, and one format as another.

The functions on groups are pure. `convert` runs one of them over a file:

    convert("ratings.jsonl", "pairs.jsonl", to="pairs")
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from truing.errors import DataError, RegistryError
from truing.feedback import formats
from truing.feedback.files import refuse
from truing.feedback.formats.cells import near
from truing.feedback.reading import located
from truing.feedback.writing import write_located
from truing.group import Group, Ranking, Scores

__all__ = [
    "KINDS",
    "Conversion",
    "Kind",
    "best_and_worst",
    "convert",
    "demonstrations",
    "pairs",
    "rankings",
    "scores_ranking",
]


def scores_ranking(said: Scores, *, aspect: str | None = None, tolerance: float = 0.0) -> Ranking:
    """Scores -> the ranking they imply; what has no score stays unranked.

    Two responses tie when the scores differ by no more than `tolerance`. That alone is not transitive, so a tie is
    counted from its best: [5, 4.6, 4.2] with 0.5 gives ranks [1, 1, 2]. `aspect` may be left out where there is one, or
    one called `overall`.
    """
    if tolerance < 0:
        raise ValueError(f"tolerance {tolerance} is negative")
    name = aspect or ("overall" if "overall" in said.values else next(iter(said.values)))
    if name not in said.values or (aspect is None and name != "overall" and len(said.values) > 1):
        raise DataError(
            f"the scores have the aspects {', '.join(said.values)}, and "
            + (f"`{aspect}` is none of them" if aspect else "nothing says which one ranks"),
            remedy="Name one of them as `aspect`.",
        )
    values = said.values[name]
    ranks: list[int | None] = [None] * len(values)
    rank, best = 0, float("inf")
    for value, index in sorted(((-v, i) for i, v in enumerate(values) if v is not None)):
        if rank == 0 or best - -value > tolerance:
            rank, best = rank + 1, -value
        ranks[index] = rank
    return Ranking(tuple(ranks), annotator_id=said.annotator_id)


def rankings(group: Group, *, aspect: str | None = None, tolerance: float = 0.0) -> list[Group]:
    """One group for each ranking, and for each of the scores the ranking that they imply."""
    said = [
        feedback if isinstance(feedback, Ranking) else scores_ranking(feedback, aspect=aspect, tolerance=tolerance)
        for feedback in group.feedback
        if isinstance(feedback, (Ranking, Scores))
    ]
    if not said:
        raise _nothing_to_rank(group)
    return [replace(group, feedback=(ranking,)) for ranking in said]


def pairs(group: Group) -> list[Group]:
    """Every (better, worse) pair that the rankings say, as groups of two; ties and unranked give none."""
    return [_pair(group, ranking, better, worse) for ranking in _rankings(group) for better, worse in ranking.pairs()]


def best_and_worst(group: Group) -> list[Group]:
    """The best and the worst of each ranking, as a group of two; the first of each where several tie, and none
    where all tie."""
    found = []
    for ranking in _rankings(group):
        ranked = [(rank, index) for index, rank in enumerate(ranking.ranks) if rank is not None]
        if len({rank for rank, _ in ranked}) > 1:
            worst_rank = max(ranked)[0]
            worst = min(index for rank, index in ranked if rank == worst_rank)
            found.append(_pair(group, ranking, min(ranked)[1], worst))
    return found


def demonstrations(group: Group) -> list[Group]:
    """What a ranking puts first, as a demonstration; none where all tie. A group that is one already stays."""
    if len(group.responses) == 1 and not group.feedback:
        return [group]
    return [replace(pair, responses=pair.responses[:1], feedback=()) for pair in best_and_worst(group)]


def _rankings(group: Group) -> tuple[Ranking, ...]:
    found = group.said(Ranking)
    if not found:
        raise _nothing_to_rank(group)
    return found


def _nothing_to_rank(group: Group) -> DataError:
    kinds = " and ".join(sorted({type(f).__name__ for f in group.feedback})) or "no feedback"
    return DataError(
        f"the group has {kinds}, which puts nothing in order",
        remedy="Only rankings and scores give rankings and pairs.",
    )


def _pair(group: Group, ranking: Ranking, better: int, worse: int) -> Group:
    two = (group.responses[better], group.responses[worse])
    said = Ranking.pair(strength=ranking.strength, margin=ranking.margin, annotator_id=ranking.annotator_id)
    return replace(group, responses=two, feedback=(said,))


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of feedback to convert to: what makes it of a group, and the format that holds it."""

    make: Callable[[Group], list[Group]]
    format: str


def _through_rankings(make: Callable[[Group], list[Group]]) -> Callable[[Group], list[Group]]:
    return lambda group: [made for ranked in rankings(group) for made in make(ranked)]


def _demonstrations(group: Group) -> list[Group]:
    return _through_rankings(demonstrations)(group) if group.feedback else demonstrations(group)


KINDS: dict[str, Kind] = {
    "pairs": Kind(_through_rankings(pairs), "preference"),
    "best_and_worst": Kind(_through_rankings(best_and_worst), "preference"),
    "rankings": Kind(rankings, "ranking"),
    "demonstrations": Kind(_demonstrations, "prompt_completion"),
}


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a conversion did."""

    target: str
    format: str
    num_read: int
    num_written: int
    num_silent: int
    """Groups that gave nothing, because they say nothing: all of it tied."""
    skipped: list[DataError] = field(default_factory=list)

    def text(self) -> str:
        """For people."""
        lines = [f"{self.target}: {self.num_written} rows of format {self.format}, from {self.num_read} groups"]
        if self.num_silent:
            lines.append(f"{self.num_silent} groups gave none: all their responses tie")
        if self.skipped:
            lines.append(f"{len(self.skipped)} rows skipped:")
            lines += [f"  {error.where}: {error.found}" for error in self.skipped[:20]]
            if len(self.skipped) > 20:
                lines.append(f"  … and {len(self.skipped) - 20} more")
        return "\n".join(lines)


def convert(
    source: str | Path, target: str | Path, *, to: str, format: str | None = None, skip_bad: bool = False
) -> Conversion:
    """Rewrite a file. `to` is a format (`formats.FORMATS`) or a kind of feedback (`KINDS`).

    A row that cannot be read, or that `to` cannot say, ends it and nothing is written; with `skip_bad` it is left out.
    """
    if to not in KINDS and to not in formats.FORMATS:
        meant = near(to, [*KINDS, *formats.FORMATS])
        raise RegistryError(
            f"there is no format and no kind `{to}`",
            remedy=(f"Did you mean `{meant}`? " if meant else "")
            + f"Kinds: {', '.join(KINDS)}. Formats: {', '.join(formats.FORMATS)}.",
        )
    kind = KINDS.get(to) or Kind(lambda group: [group], to)
    skipped: list[DataError] = []
    on_bad = skipped.append if skip_bad else refuse
    num_read = num_silent = 0

    def made() -> Iterator[tuple[str, Group]]:
        nonlocal num_read, num_silent
        for where, group in located(source, format=format, on_bad=on_bad):
            num_read += 1
            try:
                found = kind.make(group)
            except DataError as error:
                on_bad(DataError(error.found, where=where, remedy=error.remedy))
                continue
            num_silent += not found
            for each in found:
                yield where, each

    num_written = write_located(made(), target, kind.format, on_bad)
    return Conversion(str(target), kind.format, num_read, num_written, num_silent, skipped)
