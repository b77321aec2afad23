"""What is trained on of a prompt's scored samples. Pure: a group with scores in, groups to train on out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from truing.feedback.orders import scores_ranking
from truing.group import Group, Labels, Ranking, Scores
from truing.settings import RoundsSettings

__all__ = ["selected"]


def selected(group: Group, finished: Sequence[bool], settings: RoundsSettings) -> list[Group]:
    """The groups that this one gives; none where it teaches nothing.

    A sample without a reward takes no part, nor does one that says the same as an earlier one. One that was cut at the
    limit is never chosen: it would teach to stop where it was cut.
    """
    values = group.said(Scores)[0].values["overall"]
    texts = [response.text for response in group.responses]
    rewards = {i: value for i, value in enumerate(values) if value is not None and texts[i] not in texts[:i]}
    if not rewards or max(rewards.values()) - min(rewards.values()) < settings.gap:
        return []
    if settings.select == "all":
        return _all(group, rewards, settings)
    order = sorted(rewards, key=lambda i: -rewards[i])
    floor = settings.at_least
    good = [i for i in order if finished[i] and (floor is None or rewards[i] >= floor)]
    if settings.select == "best":
        return [replace(group, responses=(group.responses[i],), feedback=()) for i in good[: settings.per_prompt]]
    pairs: list[Group] = []
    for better, worse in zip(good, reversed(order), strict=False):
        apart = rewards[better] - rewards[worse]
        # From here on the two meet: every later pair is nearer still.
        if len(pairs) == settings.per_prompt or apart <= 0 or apart < settings.gap:
            break
        said = Ranking.pair(margin=apart)
        pairs.append(replace(group, responses=(group.responses[better], group.responses[worse]), feedback=(said,)))
    return pairs


def _all(group: Group, rewards: dict[int, float], settings: RoundsSettings) -> list[Group]:
    """Every sample, scored and ranked, with a thumb where `at_least` says what is good."""
    scores = Scores({"overall": tuple(rewards.values())})
    if len(rewards) < 2 or min(rewards.values()) == max(rewards.values()):
        return []
    said: tuple[Scores | Ranking | Labels, ...] = (scores, scores_ranking(scores))
    floor = settings.at_least
    if floor is not None:
        said = (*said, Labels(tuple(value >= floor for value in rewards.values())))
    return [replace(group, responses=tuple(group.responses[i] for i in rewards), feedback=said)]
