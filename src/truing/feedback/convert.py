"""One kind of feedback as another, and one format as another.

The functions on groups are pure (`orders`, `thumbs`, `merge`). `convert` runs one of them over a file:

    convert("ratings.jsonl", "pairs.jsonl", to="pairs")
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from truing.errors import DataError, RegistryError
from truing.feedback import formats
from truing.feedback.files import refuse
from truing.feedback.formats.annotated import as_predictions
from truing.feedback.formats.cells import near
from truing.feedback.merge import METHODS, merge, pooled
from truing.feedback.orders import (
    DEFAULT,
    Options,
    adjacent_pairs,
    best_and_rest,
    best_and_worst,
    labels_ranking,
    orders,
    pairs,
    rankings,
    scores_ranking,
)
from truing.feedback.reading import located
from truing.feedback.scoring import ranking_scores, scores
from truing.feedback.thumbs import demonstrations, labels, revisions
from truing.feedback.writing import write_located
from truing.group import Critique, Group, Labels, Ranking, Scores, StepLabels

__all__ = [
    "KINDS",
    "Conversion",
    "Kind",
    "Options",
    "adjacent_pairs",
    "best_and_rest",
    "best_and_worst",
    "convert",
    "demonstrations",
    "labels",
    "labels_ranking",
    "losses",
    "pairs",
    "ranking_scores",
    "rankings",
    "revisions",
    "scores",
    "scores_ranking",
]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of feedback to convert to: what makes it of a group, and the format that holds it."""

    make: Callable[[Group, Options], list[Group]]
    format: str
    ordered: bool
    """Whether it needs several responses in order, so that single ones to the same prompt are put together first."""
    loses: Callable[[Group], list[str]]
    """What of the group the result does not say; nothing where it is lossless."""


def _or_revisions(make: Callable[[Group, Options], list[Group]]) -> Callable[[Group, Options], list[Group]]:
    """Pairs of an order; of a group that only has edits, the edits."""

    def made(group: Group, options: Options) -> list[Group]:
        only_edits = bool(group.said(Critique)) and not any(
            isinstance(f, (Ranking, Scores, Labels)) for f in group.feedback
        )
        return revisions(group) if only_edits else make(group, options)

    return made


def _rankings(group: Group, options: Options) -> list[Group]:
    return [replace(group, feedback=(order.ranking,)) for order in orders(group, options)]


# ---- what is lost --------------------------------------------------------------------------------------------------


def _ranks(group: Group) -> list[tuple[int | None, ...]]:
    return [said.ranks for said in group.said(Ranking)]


def _ties(group: Group) -> list[str]:
    found = []
    for ranks in _ranks(group):
        given = [rank for rank in ranks if rank is not None]
        if len(set(given)) < len(given):
            found.append("ties")
        if None in ranks:
            found.append("responses left unranked")
    return found


def _not_used(group: Group, *used: type) -> list[str]:
    names = {
        Ranking: "rankings",
        Scores: "scores",
        Labels: "thumbs",
        StepLabels: "marks on steps",
        Critique: "the words of critiques",
    }
    return [names[type(f)] for f in group.feedback if type(f) not in used]


def _of_order(group: Group) -> list[str]:
    found = _not_used(group, Ranking, Scores, Labels)
    if group.said(Scores):
        found.append("the scores themselves: only their order is kept (and with a strength scale the gaps)")
    if group.said(Labels):
        found.append("whether a response is good: only that up is better than down is kept")
    return found


def _of_pairs(group: Group) -> list[str]:
    found = _of_order(group) + _ties(group)
    if any(len(ranks) > 2 for ranks in _ranks(group)):
        found.append("which pairs came from one ranking")
    return found


def _of_some(group: Group) -> list[str]:
    found = _of_pairs(group)
    if any(len(ranks) > 2 for ranks in _ranks(group)):
        found.append("the order of the responses in between")
    return found


def _of_scores(group: Group) -> list[str]:
    if group.said(Scores):
        return _not_used(group, Scores)
    if group.said(Ranking):
        found = _not_used(group, Ranking)
        return found + (["that only the order is known"] if any(len(ranks) > 2 for ranks in _ranks(group)) else [])
    return _not_used(group, Labels)


def _of_labels(group: Group) -> list[str]:
    found = _not_used(group, Ranking, Scores, Labels, StepLabels)
    if group.said(Ranking):
        found.append("what was compared with what")
    if any(len(ranks) > 2 for ranks in _ranks(group)):
        found.append("the responses between best and worst")
    if group.said(Scores):
        found.append("how far a score is from the threshold")
    if group.said(StepLabels):
        found.append("where a solution goes wrong")
    return found


def _of_demonstrations(group: Group) -> list[str]:
    return ["all that is not the best: what to avoid"] if group.feedback else []


def _of_revisions(group: Group) -> list[str]:
    return _not_used(group, Critique) + (["the words of critiques"] if group.said(Critique) else [])


KINDS: dict[str, Kind] = {
    "pairs": Kind(_or_revisions(pairs), "preference", True, _of_pairs),
    "adjacent_pairs": Kind(_or_revisions(adjacent_pairs), "preference", True, _of_pairs),
    "best_and_worst": Kind(_or_revisions(best_and_worst), "preference", True, _of_some),
    "best_and_rest": Kind(_or_revisions(best_and_rest), "preference", True, _of_some),
    "rankings": Kind(_rankings, "ranking", True, _of_order),
    "scores": Kind(lambda group, options: scores(group), "scores", True, _of_scores),
    "labels": Kind(labels, "unpaired", False, _of_labels),
    "revisions": Kind(lambda group, options: revisions(group), "preference", False, _of_revisions),
    "demonstrations": Kind(demonstrations, "prompt_completion", False, _of_demonstrations),
}


def losses(group: Group, to: str) -> list[str]:
    """What a group loses on its way to a kind of `KINDS`; empty = lossless."""
    return list(dict.fromkeys(KINDS[to].loses(group)))


_SILENT = {
    "scores": "judge no response",
    "labels": "say nothing good or bad",
    "revisions": "have no edit",
    "demonstrations": "have nothing that is best",
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
    to: str = ""
    """The kind (`KINDS`) or format that was asked for."""
    lost: Counter[str] = field(default_factory=Counter)
    """What the result does not say any more, and of how many groups."""
    merged: str | None = None
    """The method that made one annotator of several."""
    num_merged: int = 0
    """Groups after rows about the same responses came together."""
    reliability: dict[str, float] = field(default_factory=dict)
    """How far each annotator is to be trusted, 0..1, where the method asks that."""

    def text(self) -> str:
        """For people."""
        lines = [f"{self.target}: {self.num_written} rows of format {self.format}, from {self.num_read} groups"]
        if self.merged:
            lines.append(f"merged by {self.merged}: {self.num_merged} groups; who said what is lost")
        if self.reliability:
            lines += _reliability_text(self.reliability)
        if self.num_silent:
            lines.append(
                f"{self.num_silent} groups gave none: all their responses tie"
                if self.to not in _SILENT
                else f"{self.num_silent} groups gave none: they {_SILENT[self.to]}"
            )
        if self.to in KINDS:
            lines += [f"lost: {what} ({number} groups)" for what, number in self.lost.most_common()]
            if not self.lost:
                lines.append("lossless: the result says all that " + ("was merged" if self.merged else "was said"))
        if self.skipped:
            lines.append(f"{len(self.skipped)} rows skipped:")
            lines += [f"  {error.where}: {error.found}" for error in self.skipped[:20]]
            if len(self.skipped) > 20:
                lines.append(f"  … and {len(self.skipped) - 20} more")
        return "\n".join(lines)


def _reliability_text(reliability: dict[str, float]) -> list[str]:
    ordered = sorted(reliability.items(), key=lambda item: item[1])
    middle = ordered[len(ordered) // 2][1]
    least = ", ".join(f"{who} {value:.2f}" for who, value in ordered[:5])
    return [f"{len(ordered)} annotators, reliability {middle:.2f} in the middle; the least reliable: {least}"]


def _spread_out(groups: Iterable[tuple[str, Group]], kind: Kind) -> Iterator[tuple[str, Group]]:
    """The groups one by one; single judged responses are held back to the end and put together by their prompt."""
    alone = []
    for where, group in groups:
        if len(group.responses) == 1 and any(isinstance(said, (Labels, Scores)) for said in group.feedback):
            alone.append((where, group))
        else:
            yield where, group
    yield from pooled(alone)


def _unknown(what: str, name: str, known: Iterable[str], listed: str) -> RegistryError:
    meant = near(name, list(known))
    return RegistryError(f"there is no {what} `{name}`", remedy=(f"Did you mean `{meant}`? " if meant else "") + listed)


_TOOLS = ("label_studio", "argilla", "group")


def _unchanged(group: Group) -> Group:
    return group


def convert(
    source: str | Path,
    target: str | Path,
    *,
    to: str,
    format: str | None = None,
    skip_bad: bool = False,
    merge_by: str | None = None,
    options: Options = DEFAULT,
    predictions: bool = False,
) -> Conversion:
    """Rewrite a file. `to` is a format (`formats.FORMATS`) or a kind of feedback (`KINDS`).

    `merge_by` (`merge.METHODS`) first makes one annotator of several; that needs all groups in memory, and so do
    pairs and rankings of single judged responses, which are put together by their prompt. All else is streamed.

    `predictions` writes what was said as what models predict: labelling tools show it, and nobody has judged yet.

    A row that cannot be read, or that `to` cannot say, ends it and nothing is written; with `skip_bad` it is left out.
    """
    if to not in KINDS and to not in formats.FORMATS:
        listed = f"Kinds: {', '.join(KINDS)}. Formats: {', '.join(formats.FORMATS)}."
        raise _unknown("format and no kind", to, [*KINDS, *formats.FORMATS], listed)
    if merge_by is not None and merge_by not in METHODS:
        raise _unknown("way to merge", merge_by, METHODS, f"Known: {', '.join(METHODS)}.")
    if predictions and to not in _TOOLS:
        raise DataError(f"`{to}` knows no predictions", remedy=f"Write them to one of {', '.join(_TOOLS)}.")
    rewrite = as_predictions if predictions else _unchanged
    kind = KINDS.get(to) or Kind(lambda group, options: [rewrite(group)], to, False, lambda group: [])
    skipped: list[DataError] = []
    on_bad = skipped.append if skip_bad else refuse
    num_read = num_silent = num_merged = 0
    lost: Counter[str] = Counter()
    reliability: dict[str, float] = {}

    def read() -> Iterator[tuple[str, Group]]:
        nonlocal num_read
        for where, group in located(source, format=format, on_bad=on_bad):
            num_read += 1
            yield where, group

    def merged() -> Iterator[tuple[str, Group]]:
        nonlocal num_merged
        if merge_by is None:
            yield from read()
            return
        made = merge(read(), merge_by)
        num_merged = len(made.groups)
        reliability.update(made.reliability)
        yield from made.groups

    def made() -> Iterator[tuple[str, Group]]:
        nonlocal num_silent
        for where, group in _spread_out(merged(), kind) if kind.ordered else merged():
            try:
                found = kind.make(group, options)
            except DataError as error:
                on_bad(DataError(error.found, where=where, remedy=error.remedy))
                continue
            num_silent += not found
            lost.update(dict.fromkeys(kind.loses(group), 1))
            for each in found:
                yield where, each

    num_written = write_located(made(), target, kind.format, on_bad)
    return Conversion(
        str(target),
        kind.format,
        num_read,
        num_written,
        num_silent,
        skipped,
        to=to,
        lost=lost,
        merged=merge_by,
        num_merged=num_merged,
        reliability=reliability,
    )
