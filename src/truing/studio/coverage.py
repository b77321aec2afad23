"""What the items are about, so that gaps are seen: by category, and by clusters of their prompts' words.

Clusters need no model: TF-IDF of words (of characters, where a script has no spaces) and k-means (scikit-learn).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from truing.studio.store import Store
from truing.studio.store.tables import Items

__all__ = ["Coverage", "Part", "clusters", "coverage"]

MOST_ITEMS = 20_000
"""Prompts that are clustered: of more, evenly spaced ones."""
_MOST_CHARACTERS = 4000
_WORD = re.compile(r"[^\W\d_぀-ヿ㐀-鿿가-힯]{2,}|[぀-ヿ㐀-鿿가-힯]")
FEW = 0.5
LEAST = 5


@dataclass(frozen=True, slots=True)
class Part:
    """Items that have something in common. `words` say what, `examples` are beginnings of prompts."""

    name: str
    num_items: int
    num_labelled: int
    words: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """Of its items, those with a label."""
        return self.num_labelled / self.num_items


@dataclass(frozen=True, slots=True)
class Coverage:
    """The largest parts first. `gaps`: parts that are labelled less than half as much as the whole."""

    num_items: int
    num_labelled: int
    categories: tuple[Part, ...]
    clusters: tuple[Part, ...]
    gaps: tuple[str, ...]


def coverage(store: Store, project_id: int, *, num_clusters: int | None = None, seed: int = 0) -> Coverage:
    """Of the work, without gold and test. `num_clusters` None: √(items / 2), 2 to 12."""
    with store.reading() as conn:
        rows = conn.execute(
            select(Items.id, Items.category, Items.num_answers)
            .where(Items.project_id == project_id, Items.role == "work")
            .order_by(Items.position)
        ).all()
        step = max(1, -(-len(rows) // MOST_ITEMS))
        looked_at = rows[::step]
        prompts = [store.groups.get(conn, row.id).prompt.text for row in looked_at]
    categories = _by_category(rows)
    found = _by_words(prompts, [row.num_answers > 0 for row in looked_at], num_clusters, seed)
    labelled = sum(row.num_answers > 0 for row in rows)
    return Coverage(len(rows), labelled, categories, found, tuple(_gaps(categories, found, len(rows), labelled)))


def _by_category(rows: Sequence[Any]) -> tuple[Part, ...]:
    held: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        if row.category is not None:
            held[row.category].append(row.num_answers > 0)
    if not held:
        return ()
    parts = [Part(name, len(done), sum(done)) for name, done in held.items()]
    without = [row.num_answers > 0 for row in rows if row.category is None]
    if without:
        parts.append(Part("(none)", len(without), sum(without)))
    return tuple(sorted(parts, key=lambda part: (-part.num_items, part.name)))


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text[:_MOST_CHARACTERS])]


def clusters(texts: Sequence[str], number: int | None = None, *, seed: int = 0) -> list[tuple[list[int], list[str]]]:
    """Texts by their words: (indices, the words that tell them from the rest), the largest first.

    Texts without a word (numbers only, say) come last, together and with no words.
    """
    from sklearn.cluster import KMeans
    from sklearn.feature_extraction.text import TfidfVectorizer

    worded = [index for index, text in enumerate(texts) if _words(text)]
    silent = [index for index, text in enumerate(texts) if not _words(text)]
    rest: list[tuple[list[int], list[str]]] = [(silent, [])] if silent else []
    different = len({tuple(sorted(_words(texts[i]))) for i in worded})
    wanted = number or min(12, max(2, round((len(worded) / 2) ** 0.5)))
    wanted = min(wanted, different)
    if wanted < 2:
        return [(worded, []), *rest] if worded else rest
    # A word in more than half of the texts tells none from the others; one in a single text makes no cluster.
    many = len(worded) >= 20
    weigh = TfidfVectorizer(
        analyzer=_words, sublinear_tf=True, max_features=20_000, min_df=2 if many else 1, max_df=0.5 if many else 1.0
    )
    try:
        matrix = weigh.fit_transform([texts[i] for i in worded])
    except ValueError:  # no word is left between the two
        return [(worded, []), *rest]
    spread = len({tuple(row.indices) for row in matrix})
    fitted = KMeans(n_clusters=max(1, min(wanted, spread)), n_init=4, random_state=seed).fit(matrix)
    names = weigh.get_feature_names_out()
    whole = matrix.mean(axis=0).A1 if hasattr(matrix.mean(axis=0), "A1") else matrix.mean(axis=0)
    made = []
    for cluster, centre in enumerate(fitted.cluster_centers_):
        indices = [worded[i] for i, label in enumerate(fitted.labels_) if label == cluster]
        telling = (centre - whole).argsort()[::-1][:5]
        if indices:
            made.append((indices, [str(names[t]) for t in telling if centre[t] > whole[t]]))
    return [*sorted(made, key=lambda part: (-len(part[0]), part[0][0])), *rest]


def _by_words(prompts: Sequence[str], done: Sequence[bool], number: int | None, seed: int) -> tuple[Part, ...]:
    return tuple(
        Part(
            ", ".join(words[:3]) or "(no words)",
            len(indices),
            sum(done[i] for i in indices),
            tuple(words),
            tuple(" ".join(prompts[i].split())[:120] for i in indices[:3]),
        )
        for indices, words in clusters(prompts, number, seed=seed)
    )


def _gaps(categories: Sequence[Part], found: Sequence[Part], num_items: int, num_labelled: int) -> list[str]:
    """A part that is labelled less than half as much as the whole."""
    if not num_labelled:
        return []
    overall = num_labelled / num_items
    return [
        f"{what} {part.name!r}: {part.num_labelled} of {part.num_items} items labelled, {overall:.0%} of all are"
        for what, parts in (("category", categories), ("prompts about", found))
        for part in parts
        if part.num_items >= LEAST and part.share < FEW * overall
    ]
