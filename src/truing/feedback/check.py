"""Is a file fit to be used? Every row is read; problems stop a training, remarks are worth a look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from truing.errors import DataError
from truing.feedback.reading import located
from truing.feedback.seen import Seen
from truing.feedback.stats import fingerprint
from truing.group import Group, Ranking

__all__ = ["Check", "Finding", "check"]

MOST = 1000
"""Findings of a kind that are kept; all are counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found: its kind, its place (`file:line`), what it is and what to do."""

    kind: str
    where: str
    found: str
    remedy: str | None = None

    def text(self) -> str:
        """For people."""
        return f"{self.where}: {self.found}" + (f"\n    {self.remedy}" if self.remedy else "")


@dataclass(slots=True)
class Check:
    """What reading a whole file showed.

    `problems` are rows that cannot be read; `remarks` are rows that can, and look odd: `duplicate`, `identical`,
    `empty`, `contradiction`, `ends_with_user`. `counts` counts them all by kind, the lists hold the first thousand of
    each.
    """

    source: str
    num_groups: int = 0
    problems: list[Finding] = field(default_factory=list)
    remarks: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def num_problems(self) -> int:
        return self.counts["unreadable"]

    @property
    def num_remarks(self) -> int:
        return self.counts.total() - self.num_problems

    def text(self, most: int = 20) -> str:
        """For people; no more than `most` problems and remarks."""
        lines = [f"{self.source}: {self.num_groups} groups, {self.num_problems} problems, {self.num_remarks} remarks"]
        for findings, number in ((self.problems, self.num_problems), (self.remarks, self.num_remarks)):
            lines += [f"  {finding.text()}" for finding in findings[:most]]
            if number > most:
                lines.append(f"  … and {number - most} more")
        if self.problems:
            lines.append("--skip-bad leaves out the rows with problems.")
        return "\n".join(lines)


def check(source: str | Path, *, format: str | None = None) -> Check:
    """Read every row of a file and report what is wrong or odd.

    What breaks the file itself (a truncated gzip, no such file, nothing in it) is raised as `DataError`.
    """
    made = Check(str(source))
    remarks = _Remarks()

    def hear(error: DataError) -> None:
        _keep(made, made.problems, Finding("unreadable", error.where or str(source), error.found, error.remedy))

    for where, group in located(source, format=format, on_bad=hear):
        made.num_groups += 1
        for remark in remarks.of(group, where):
            _keep(made, made.remarks, remark)
    return made


def _keep(made: Check, findings: list[Finding], finding: Finding) -> None:
    made.counts[finding.kind] += 1
    if made.counts[finding.kind] <= MOST:
        findings.append(finding)


class _Remarks:
    """What looks odd about a group, given those before it."""

    def __init__(self) -> None:
        self.seen, self.preferred = Seen(), Seen()

    def of(self, group: Group, where: str) -> Iterator[Finding]:
        prompt, answers = fingerprint(group.prompt), [fingerprint(response) for response in group.responses]
        before = self.seen.first(fingerprint(prompt, answers, group.feedback), where)
        if before != where:
            yield Finding("duplicate", where, f"the same as {before}", "It counts twice in training.")
        if len(group.responses) == 2 and group.responses[0] == group.responses[1]:
            yield Finding("identical", where, "both responses are the same", "Read as a tie, which trains nothing.")
        for position, response in enumerate(group.responses, 1):
            if not response.text.strip():
                yield Finding("empty", where, f"response {position} is empty", "Was it cut? It is kept as an answer.")
            elif response.messages[-1].role == "user":
                yield Finding("ends_with_user", where, f"response {position} ends with a user's turn, not trained on")
        if before == where:
            yield from self._contradictions(group, where, prompt, answers)

    def _contradictions(self, group: Group, where: str, prompt: bytes, answers: list[bytes]) -> Iterator[Finding]:
        for said in group.said(Ranking):
            for better, worse in said.pairs():
                one, other = answers[better], answers[worse]
                self.preferred.first(fingerprint(prompt, one, other, said.annotator_id), where)
                against = self.preferred.get(fingerprint(prompt, other, one, said.annotator_id))
                if against:
                    yield Finding(
                        "contradiction", where, f"it prefers what {against} rejects", "Keep one of them, or neither."
                    )
