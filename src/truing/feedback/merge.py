"""Several annotators -> one. Rows about the same prompt and responses come together, then a method decides.

majority        thumbs, pairs, rankings, step labels: what most say
mean            scores: the mean; thumbs: the share of up as a score 0..1; pairs: the share as strength; rankings:
                the mean rank; step labels: the mean, a probability
dawid_skene     thumbs, pairs, step labels: each annotator's own confusions, estimated over the whole file
bradley_terry   pairs and rankings: a score for each response and a reliability for each annotator
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from truing.errors import DataError
from truing.feedback.annotators import Comparison, bradley_terry, dawid_skene
from truing.group import Critique, Feedback, Group, Labels, Ranking, Response, Scores, StepLabels

__all__ = ["METHODS", "Merged", "merge", "pooled", "together"]

Located = tuple[str, Group]


@dataclass(frozen=True, slots=True)
class Merged:
    """The groups, each with the place of its first row, and how far each annotator is to be trusted (0..1), where the
    method asks that."""

    groups: list[Located]
    reliability: dict[str, float] = field(default_factory=dict)


# ---- rows that belong together -------------------------------------------------------------------------------------


def _matched(responses: Sequence[Response], others: Sequence[Response]) -> list[int]:
    """For each of `responses` where it stands in `others`, which are the same in another order."""
    left = list(range(len(others)))
    found = []
    for response in responses:
        index = next(i for i in left if others[i] == response)
        left.remove(index)
        found.append(index)
    return found


def _reordered(said: Feedback, order: Sequence[int]) -> Feedback:
    match said:
        case Ranking(ranks=ranks):
            return replace(said, ranks=tuple(ranks[i] for i in order))
        case Scores(values=values):
            return replace(said, values={a: tuple(v[i] for i in order) for a, v in values.items()})
        case Labels(values=thumbs):
            return replace(said, values=tuple(thumbs[i] for i in order))
        case StepLabels(values=marks):
            return replace(said, values=tuple(marks[i] for i in order))
        case Critique(texts=texts, edits=edits):
            return replace(
                said, texts=tuple(texts[i] for i in order), edits=tuple(edits[i] for i in order) if edits else ()
            )


def _shared(groups: Sequence[Group]) -> dict[str, Any]:
    """The columns on which all agree."""
    first, *others = groups
    return {k: v for k, v in first.columns.items() if all(k in g.columns and g.columns[k] == v for g in others)}


def together(groups: Iterable[Located]) -> list[Located]:
    """Groups with the same prompt and the same responses, in whatever order, as one with the feedback of all.

    The first row gives the place and the order. Columns are kept where all rows have them alike.
    """
    found: dict[Hashable, list[Located]] = defaultdict(list)
    for where, group in groups:
        found[group.prompt, frozenset(Counter(group.responses).items())].append((where, group))
    made = []
    for rows in found.values():
        where, first = rows[0]
        said = [
            _reordered(feedback, _matched(first.responses, group.responses))
            for _, group in rows
            for feedback in group.feedback
        ]
        made.append((where, replace(first, feedback=tuple(said), columns=_shared([g for _, g in rows]))))
    return made


def pooled(groups: Iterable[Located]) -> list[Located]:
    """Single responses to the same prompt, each with thumbs or scores, as one group of K to be put in order.

    Who said it is kept where one person said it all.
    """
    found: dict[Hashable, list[Located]] = defaultdict(list)
    for where, group in groups:
        found[group.prompt].append((where, group))
    return [(rows[0][0], _pool([group for _, group in rows])) for rows in found.values()]


def _pool(rows: list[Group]) -> Group:
    who = {said.annotator_id for group in rows for said in group.feedback}
    by = who.pop() if len(who) == 1 else None
    layouts = {(tuple(s.values), s.scale): None for group in rows for s in group.said(Scores)}
    responses: list[Response] = []
    thumbs: list[bool | None] = []
    scores: list[dict[Any, Scores]] = []
    for group in rows:
        mine = [{(tuple(s.values), s.scale): s} for s in group.said(Scores)]
        given = [labels.values[0] for labels in group.said(Labels)]
        # A response that two people judged comes in as often.
        for index in range(max(1, len(given))):
            responses.append(group.responses[0])
            thumbs.append(given[index] if given else None)
            scores.append({} if index else {key: s for each in mine for key, s in each.items()})
    said: list[Feedback] = [Labels(tuple(thumbs), by)] if any(t is not None for t in thumbs) else []
    for aspects, scale in layouts:
        values = {
            a: tuple(row[aspects, scale].values[a][0] if (aspects, scale) in row else None for row in scores)
            for a in aspects
        }
        said.append(Scores(values, scale, by))
    return replace(rows[0], responses=tuple(responses), feedback=tuple(said), columns=_shared(rows))


# ---- one group at a time -------------------------------------------------------------------------------------------


def _dense(values: Sequence[float | None]) -> tuple[int | None, ...]:
    """Ranks of numbers, the highest first; equal ones tie."""
    places = sorted({round(v, 9) for v in values if v is not None}, reverse=True)
    return tuple(None if v is None else places.index(round(v, 9)) + 1 for v in values)


def _most(votes: Iterable[Any]) -> Any:
    """What is said most often; None where nothing is, or several are said as often."""
    first = Counter(vote for vote in votes if vote is not None).most_common(2)
    return first[0][0] if first and (len(first) == 1 or first[0][1] > first[1][1]) else None


def _columns(rows: Iterable[Sequence[Any]]) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True))


def _pair_vote(said: Ranking) -> int | None:
    """0 the first, 1 the second, 2 a tie, None nothing."""
    first, second = said.ranks
    if first is None or second is None:
        return None
    return 2 if first == second else int(second < first)


_PAIR = {0: (1, 2), 1: (2, 1), 2: (1, 1)}


def _majority_order(said: Sequence[Ranking]) -> Ranking:
    """Copeland: majorities won minus majorities lost, over all the others; for two responses the majority itself."""
    size = len(said[0].ranks)
    if size == 2:
        return Ranking(_PAIR[2 if (most := _most(map(_pair_vote, said))) is None else most])
    wins = Counter(pair for ranking in said for pair in ranking.pairs())
    ranked = {i for ranking in said for i, rank in enumerate(ranking.ranks) if rank is not None}

    def balance(i: int) -> float:
        return sum((wins[i, j] > wins[j, i]) - (wins[i, j] < wins[j, i]) for j in range(size))

    return Ranking(_dense([balance(i) if i in ranked else None for i in range(size)]))


def majority(group: Group) -> tuple[Feedback, ...]:
    """What most say. Thumbs and steps without a majority get none; pairs without one tie."""
    found: list[Feedback] = list(group.said(Critique))
    if group.said(Scores):
        raise DataError("scores have no majority", remedy="Use --merge mean.")
    if rankings := group.said(Ranking):
        found.append(_majority_order(rankings))
    if thumbs := group.said(Labels):
        found.append(Labels(tuple(map(_most, _columns(s.values for s in thumbs)))))
    if steps := group.said(StepLabels):
        if any(each.soft for each in steps):
            raise DataError("probabilities of steps have no majority", remedy="Use --merge mean.")
        marks = _columns(s.values for s in steps)
        found.append(StepLabels(tuple(tuple(map(_most, _columns(each))) for each in marks)))
    return tuple(found)


def _average(values: Sequence[float | None]) -> float | None:
    given = [float(v) for v in values if v is not None]
    return sum(given) / len(given) if given else None


def _mean_mark(marks: Sequence[float | None]) -> float | None:
    """As 2p − 1 of a probability p, as a file with probabilities would say it: then none is lost in writing one."""
    share = _average([None if mark is None else (mark + 1) / 2 for mark in marks])
    return None if share is None else 2 * share - 1


def _first_wins(said: Ranking) -> float | None:
    """The probability that the first of two is preferred."""
    vote, sure = _pair_vote(said), 1.0 if said.strength is None else said.strength
    return None if vote is None else (sure, 1 - sure, 0.5)[vote]


def _decided(share: float | None) -> Ranking:
    """A pair from the probability that its first wins."""
    if share is None:
        return Ranking((None, None))
    if share == 0.5:
        return Ranking((1, 1))
    return Ranking((1, 2) if share > 0.5 else (2, 1), strength=min(max(share, 1 - share), 1.0))


def _mean_order(said: Sequence[Ranking]) -> Ranking:
    if len(said[0].ranks) == 2:
        return _decided(_average([_first_wins(each) for each in said]))
    means = [_average(ranks) for ranks in _columns(each.ranks for each in said)]
    return Ranking(_dense([None if mean is None else -mean for mean in means]))


def mean(group: Group) -> tuple[Feedback, ...]:
    """The mean of what is said; see the table at the top."""
    found: list[Feedback] = list(group.said(Critique))
    if steps := group.said(StepLabels):
        marks = _columns(s.values for s in steps)
        found.append(StepLabels(tuple(tuple(map(_mean_mark, _columns(each))) for each in marks)))
    if rankings := group.said(Ranking):
        found.append(_mean_order(rankings))
    layouts: dict[Any, list[Scores]] = defaultdict(list)
    for scores in group.said(Scores):
        layouts[tuple(sorted(scores.values)), scores.scale].append(scores)
    for (_, scale), alike in layouts.items():
        values = {a: tuple(map(_average, _columns(s.values[a] for s in alike))) for a in alike[0].values}
        found.append(Scores(values, scale))
    if thumbs := group.said(Labels):
        found.append(Scores({"thumbs": tuple(map(_average, _columns(s.values for s in thumbs)))}, (0.0, 1.0)))
    return tuple(found)


# ---- the whole file at once ----------------------------------------------------------------------------------------


class _Index:
    """Things -> 0, 1, 2, ... in order of appearance."""

    def __init__(self) -> None:
        self.of: dict[Hashable, int] = {}

    def __call__(self, thing: Hashable) -> int:
        return self.of.setdefault(thing, len(self.of))


def _who(said: Feedback, where: str) -> str:
    if said.annotator_id is None:
        raise DataError(
            "nothing says who judged it, and a model of annotators needs that",
            where=where,
            remedy="Give the column `annotator_id`, or use --merge majority or mean.",
        )
    return said.annotator_id


Votes = list[tuple[Hashable, str, int]]


def _votes(groups: Sequence[Located], kind: type[Feedback]) -> Votes:
    """(what was judged, by whom, class)."""
    found: Votes = []
    for number, (where, group) in enumerate(groups):
        for said in group.feedback:
            if not isinstance(said, kind):
                continue
            who = _who(said, where)
            match said:
                case Ranking():
                    if len(said.ranks) != 2:
                        raise DataError(
                            f"a ranking of {len(said.ranks)} is no label",
                            where=where,
                            remedy="Use --merge bradley_terry, or convert to pairs first.",
                        )
                    if (vote := _pair_vote(said)) is not None:
                        found.append((number, who, vote))
                case Labels(values=values):
                    found += [((number, i), who, int(v)) for i, v in enumerate(values) if v is not None]
                case StepLabels(values=rows):
                    if said.soft:
                        raise DataError("probabilities of steps are no labels", where=where, remedy="Use --merge mean.")
                    found += [
                        ((number, i, s), who, int(mark) + 1)
                        for i, marks in enumerate(rows)
                        for s, mark in enumerate(marks)
                        if mark is not None
                    ]
    return found


_CLASSES: dict[type[Feedback], int] = {Ranking: 3, Labels: 2, StepLabels: 3}


def _dawid_skene(groups: list[Located]) -> Merged:
    """Each kind of feedback by a model of its own; an annotator's reliability is how often they say what is true,
    averaged over the kinds they spoke in."""
    told: dict[int, list[Feedback]] = {n: list(group.said(Critique)) for n, (_, group) in enumerate(groups)}
    trust: dict[str, list[float]] = defaultdict(list)
    for kind, num_classes in _CLASSES.items():
        votes = _votes(groups, kind)
        if not votes:
            continue
        items, people = _Index(), _Index()
        model = dawid_skene([(items(item), people(who), vote) for item, who, vote in votes], num_classes)
        for who, a in people.of.items():
            trust[str(who)].append(float((model.prior * model.confusion[a].diagonal()).sum()))
        chances = {item: [float(p) for p in model.posterior[i]] for item, i in items.of.items()}
        for number, (_, group) in enumerate(groups):
            if any(isinstance(said, kind) for said in group.feedback):
                told[number].append(_believed(group, number, kind, chances))
    if any(group.said(Scores) for _, group in groups):
        raise DataError("scores are no labels", remedy="Use --merge mean.")
    made = [(where, replace(group, feedback=tuple(told[n]))) for n, (where, group) in enumerate(groups)]
    return Merged(made, {who: sum(each) / len(each) for who, each in trust.items()})


def _believed(group: Group, number: int, kind: type[Feedback], chances: dict[Hashable, list[float]]) -> Feedback:
    """The feedback that the chances say: the likeliest class; for pairs with the strength that they say."""
    if kind is Labels:
        found = [chances.get((number, i)) for i in range(len(group.responses))]
        return Labels(tuple(None if c is None or c[0] == c[1] else c[1] > c[0] for c in found))
    if kind is StepLabels:
        marks = group.said(StepLabels)[0].values
        rows = [[chances.get((number, i, s)) for s in range(len(row))] for i, row in enumerate(marks)]
        return StepLabels(tuple(tuple(None if c is None else c.index(max(c)) - 1 for c in row) for row in rows))
    chance = chances.get(number)
    if chance is None:
        return Ranking((None, None))
    first, second, tie = chance
    return Ranking((1, 1)) if tie >= max(first, second) else _decided(first / (first + second))


def _bradley_terry(groups: list[Located]) -> Merged:
    items, people = _Index(), _Index()
    comparisons: list[Comparison] = []
    for where, group in groups:
        if any(not isinstance(said, (Ranking, Critique)) for said in group.feedback):
            kinds = ", ".join(sorted({type(said).__name__ for said in group.feedback} - {"Ranking", "Critique"}))
            raise DataError(f"{kinds} compare nothing", where=where, remedy="Use --merge dawid_skene or mean.")
        names = [items((group.prompt, response)) for response in group.responses]
        for said in group.said(Ranking):
            who = people(_who(said, where))
            for i, one in enumerate(said.ranks):
                for j, other in enumerate(said.ranks[:i]):
                    if one is None or other is None or names[i] == names[j]:
                        continue
                    sure = 0.5 if one == other else 1.0 if said.strength is None else said.strength
                    ahead, behind = (i, j) if one < other else (j, i)
                    comparisons.append((names[ahead], names[behind], who, sure))
                    if sure < 1:
                        comparisons.append((names[behind], names[ahead], who, 1 - sure))
    if not comparisons:
        raise DataError("nothing is compared with anything", remedy="Every ranking has fewer than two ranked.")
    # Items that were never compared come last or not at all: their score is the prior's, 0.
    model = bradley_terry([*comparisons, (len(items.of) - 1, len(items.of) - 1, 0, 0.0)])
    made = []
    for where, group in groups:
        compared = {i for said in group.said(Ranking) for i, rank in enumerate(said.ranks) if rank is not None}
        scores = [
            float(model.scores[items((group.prompt, r))]) if i in compared else None
            for i, r in enumerate(group.responses)
        ]
        told: list[Feedback] = list(group.said(Critique))
        if group.said(Ranking):
            told.append(_ordered_by(scores))
        made.append((where, replace(group, feedback=tuple(told))))
    return Merged(made, {str(who): float(model.reliability[i]) for who, i in people.of.items()})


def _ordered_by(scores: list[float | None]) -> Ranking:
    if len(scores) == 2 and scores[0] is not None and scores[1] is not None:
        gap = scores[0] - scores[1]
        return _decided(0.5 if abs(gap) < 1e-6 else 1 / (1 + math.exp(-gap)))
    return Ranking(_dense([None if score is None else round(score, 6) for score in scores]))


def _each(method: Callable[[Group], tuple[Feedback, ...]]) -> Callable[[list[Located]], Merged]:
    def merged(groups: list[Located]) -> Merged:
        made = []
        for where, group in groups:
            try:
                made.append((where, replace(group, feedback=method(group))))
            except DataError as error:
                raise DataError(error.found, where=where, remedy=error.remedy) from None
        return Merged(made)

    return merged


METHODS: dict[str, Callable[[list[Located]], Merged]] = {
    "majority": _each(majority),
    "mean": _each(mean),
    "dawid_skene": _dawid_skene,
    "bradley_terry": _bradley_terry,
}


def merge(groups: Iterable[Located], method: str) -> Merged:
    """Bring rows together and let `method` (`METHODS`) decide what the annotators of each group say as one."""
    return METHODS[method](together(groups))
