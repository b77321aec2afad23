"""How well a model reasons, from several responses to each problem. Pure functions: lists in, numbers out.

pass@k        one of k responses is right: what the model can do at all
majority@k    what most of k responses say is right: what it does by voting with itself
self_check    responses that say they look again
"""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

__all__ = ["Solved", "checks_itself", "majority_at_k", "pass_at_k", "reasoning"]

_AGAIN = r"(?:double-?check|re-?check|check|verify|re-?examine|re-?evaluate|re-?calculate|re-?compute)"
_CHECKS = re.compile(
    r"\bwait\b|\bhold on\b|\bon second thought\b|\bactually, no\b"
    rf"|\b(?:let me|let us|let's|i(?:'ll| will| should| need to| must)|to) (?:just )?{_AGAIN}\b"
    r"|\b(?:double-?checking|re-?checking|checking|verifying) (?:this|that|it|my|the)\b"
    r"|\bthat (?:(?:is|was)(?:n't| not)|can(?:'t|not) be) (?:right|correct)\b|\b(?:i|i've) made a mistake\b",
    re.IGNORECASE,
)
"""English phrases with which texts announce that they look again, and the only place that says so. Ours; "wait" is what
DeepSeek-R1 watches (arXiv:2501.12948, sec. 2.3). The words are found, not the deed: a text that looks again in silence
is missed, and one that says "wait" and goes on as before is counted."""


@dataclass(frozen=True, slots=True)
class Solved:
    """One response: whether it is right, and the answer that it comes to (None: it comes to none)."""

    right: bool
    answer: Hashable | None
    text: str = ""


def pass_at_k(num_samples: int, num_right: int, k: int) -> float:
    """The probability that of k responses one is right, from n of which c are: 1 − C(n−c, k) / C(n, k).

    Without bias, as 1 − (1 − c/n)^k is not (arXiv:2107.03374, eq. 1).
    """
    assert 0 <= num_right <= num_samples
    assert 1 <= k <= num_samples
    return 1 - math.comb(num_samples - num_right, k) / math.comb(num_samples, k)


def majority_at_k(solved: Sequence[Solved], k: int) -> float:
    """The share of the ⌊n/k⌋ blocks of k responses in a row whose most frequent answer is right (self-consistency,
    arXiv:2203.11171).

    Responses without an answer have no vote. Where m answers are equally frequent each is chosen with probability 1/m.
    Blocks do not overlap: their mean is without bias, and what is left over counts for nothing.
    """
    assert 1 <= k <= len(solved)
    blocks = [solved[first : first + k] for first in range(0, len(solved) - k + 1, k)]
    return statistics.fmean(_elected(block) for block in blocks)


def _elected(block: Sequence[Solved]) -> float:
    votes = Counter(one.answer for one in block if one.answer is not None)
    if not votes:
        return 0.0
    most = max(votes.values())
    chosen = {answer for answer, number in votes.items() if number == most}
    return len(chosen & {one.answer for one in block if one.right}) / len(chosen)


def checks_itself(text: str) -> bool:
    """Whether a text announces that it looks again ("Wait, ...", "Let me check")."""
    return _CHECKS.search(text) is not None


def reasoning(problems: Sequence[Sequence[Solved]]) -> dict[str, float]:
    """`accuracy`, `answered` and `self_check` of all responses, and `pass@k` and `majority@k` for k = 2, 4, 8, ... up
    to the least number of responses that a problem has. Nothing where there is no problem.

    With one response each neither k is there; majority@2 is left out, for it is the accuracy of those who answer.
    """
    flat = [one for row in problems for one in row]
    if not flat:
        return {}
    found = {
        "accuracy": statistics.fmean(statistics.fmean(one.right for one in row) for row in problems),
        "answered": statistics.fmean(one.answer is not None for one in flat),
        "self_check": statistics.fmean(checks_itself(one.text) for one in flat),
    }
    least = min(len(row) for row in problems)
    k = 2
    while k <= least:
        found[f"pass@{k}"] = statistics.fmean(pass_at_k(len(row), sum(s.right for s in row), k) for row in problems)
        if k > 2:
            found[f"majority@{k}"] = statistics.fmean(majority_at_k(row, k) for row in problems)
        k *= 2
    return found
