"""Five simulated people who rank answers: the judge's opinion, blurred.

Each weighs the judge's findings differently and makes errors. Annotator 3 likes long answers and does not mind filler;
annotator 4 is careless and ranks one prompt in four without looking. Measured on pairs that they rank: 85 % agreement
with the judge on demonstrations and 88 % on samples of an SFT model; 78 % and 82 % with one another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from random import Random

from truing.group import Ranking
from truing.lab.judge import Weights, utility
from truing.lab.request import Request

__all__ = ["ANNOTATORS", "TIE", "Annotator", "rank"]

TIE = 0.25
"""Two answers whose utilities differ by less are the same to an annotator."""


@dataclass(frozen=True, slots=True)
class Annotator:
    """`noise` is the scale of the Gumbel noise on the utilities, so that a gap of one `noise` is judged rightly with
    probability σ(1) = 0.73; `carelessness` is the share of prompts ranked at random."""

    weights: Weights
    noise: float
    carelessness: float


def _annotator(number: int) -> Annotator:
    rng = Random(number)
    own = {f.name: getattr(Weights(), f.name) * math.exp(rng.gauss(0, 0.3)) for f in fields(Weights)}
    noise = 0.6 * math.exp(rng.gauss(0, 0.2))
    return Annotator(Weights(**own), noise, 0.03)


def _five() -> tuple[Annotator, ...]:
    first, second, third, wordy, careless = (_annotator(number) for number in range(5))
    wordy = replace(wordy, weights=replace(wordy.weights, length=-0.04, filler=0.0))
    return first, second, third, wordy, replace(careless, carelessness=0.25)


ANNOTATORS = _five()


def rank(request: Request, responses: Sequence[tuple[str, bool]], annotator: int, rng: Random) -> Ranking:
    """How annotator 0..4 ranks responses, given as (text, finished).

    Responses within `TIE` of the best of them share a rank; then the next best and those near it, and so on. Such
    classes are ordered by utility plus Gumbel noise, which is a draw from the Plackett-Luce model.
    """
    person = ANNOTATORS[annotator]
    utilities = [utility(request, text, finished, weights=person.weights) for text, finished in responses]
    classes: list[list[int]] = []
    for i in sorted(range(len(utilities)), key=lambda i: -utilities[i]):
        if classes and utilities[classes[-1][0]] - utilities[i] < TIE:
            classes[-1].append(i)
        else:
            classes.append([i])
    noisy = [(utilities[same[0]] + person.noise * _gumbel(rng), same) for same in classes]
    order = [same for _, same in sorted(noisy, key=lambda pair: -pair[0])]
    if rng.random() < person.carelessness:
        rng.shuffle(order)
    place = {i: number for number, same in enumerate(order, 1) for i in same}
    return Ranking(tuple(place[i] for i in range(len(responses))), annotator_id=f"annotator-{annotator}")


def _gumbel(rng: Random) -> float:
    return -math.log(rng.expovariate(1.0))
