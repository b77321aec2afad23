"""K responses in order, with ties; some may be left unranked."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any, ClassVar

from truing.group import Feedback, Group, Ranking
from truing.studio.kinds.base import Answer, Form, Kind, KindSettings, Units, share, text_or_none

__all__ = ["KIND"]


class RankingSettings(KindSettings):
    """`unranked` and `ties` say what is allowed besides a whole order."""

    ties: bool = True
    unranked: bool = True
    comment: bool = True


class RankingForm(Form):
    ranks: list[int | None]
    comment: str | None = None


class RankingKind(Kind[RankingSettings]):
    name = "ranking"
    title = "Put in order"
    min_responses = 2
    max_responses = 20
    level = "ordinal"
    Settings: ClassVar[type[KindSettings]] = RankingSettings

    def check(self, answer: Mapping[str, Any], group: Group, settings: RankingSettings) -> Answer:
        form = self.parse(RankingForm, answer)
        self.sized(form.ranks, len(group.responses), "ranks")
        given = [rank for rank in form.ranks if rank is not None]
        if len(given) < 2:
            raise self.refuse("fewer than two responses are ranked", "Rank two at least, or skip the item.")
        if min(given) < 1:
            raise self.refuse(f"`ranks` holds {min(given)}", "1 is the best.")
        if len(given) < len(form.ranks) and not settings.unranked:
            raise self.refuse("a response is left unranked", "This project wants all of them ranked.")
        if len(set(given)) < len(given) and not settings.ties:
            raise self.refuse("two responses share a rank", "This project has no ties.")
        # 1, 1, 3 and 1, 1, 2 say the same: kept as 1, 1, 2.
        place = {rank: n for n, rank in enumerate(sorted(set(given)), 1)}
        ranks = [None if rank is None else place[rank] for rank in form.ranks]
        return {"ranks": ranks, "comment": text_or_none(form.comment, self, "comment")}

    def feedback(
        self, answer: Answer, group: Group, annotator_id: str | None, settings: RankingSettings
    ) -> tuple[Feedback, ...]:
        return (Ranking(tuple(answer["ranks"]), annotator_id=annotator_id),)

    def units(self, answer: Answer) -> Units:
        """For each pair of ranked responses: 1 the earlier is better, -1 the later, 0 a tie."""
        return {
            ("ranking", i, j): float((a < b) - (a > b))
            for (i, a), (j, b) in combinations(enumerate(answer["ranks"]), 2)
            if a is not None and b is not None
        }

    def score_gold(self, answer: Answer, gold: Answer) -> float:
        """The share of the known pairs that are in the same order; a tie on one side only counts half."""
        said = self.units(answer)
        return share(
            [
                1 - abs(float(order) - float(said[pair])) / 2 if pair in said else 0.0
                for pair, order in self.units(gold).items()
            ]
        )

    def chosen(self, answer: Answer) -> int | None:
        best = [index for index, rank in enumerate(answer["ranks"]) if rank == 1]
        return best[0] if len(best) == 1 else None


KIND = RankingKind()
