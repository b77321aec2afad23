"""Cuts the files of human feedback into halves that share no prompt, and gathers the text of the base model.

    python halves.py DATA OUT

OUT/corpus.jsonl.gz       what the base learns to read and write: training files only, no half below
OUT/NAME/{a,b}.jsonl.gz   each data set cut in two BY PROMPT. hh-rlhf comes with a held-out file: there it is b, and
                          a is the training file without its conversations

Truing's readers say what the files mean. Only the GSM8K solutions, which come as columns of four models, are read here.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from truing import feedback
from truing.feedback.files import refuse
from truing.feedback.merge import merge
from truing.feedback.sources import rows
from truing.group import Group, Labels, Prompt, Ranking, Response, Scores, StepLabels

__all__ = ["SETS", "DataSet", "corpus", "cut", "key", "parts"]

SOLVERS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


@dataclass(frozen=True, slots=True)
class DataSet:
    """Where one kind of human feedback lies, and how it becomes groups that a recipe reads."""

    name: str
    file: str
    read: Callable[[Path], list[Group]]
    prefix: int | None = None
    """Prompts that begin with the same so many characters are one."""
    heldout: str | None = None
    """A file of its own to test on."""


def key(group: Group, prefix: int | None = None) -> str:
    """What a comparison is counted under: the turn that its conversation begins with."""
    spoken = [message for message in group.prompt.messages if message.role != "system"]
    return spoken[0].content[:prefix]


def compared(file: Path) -> list[Group]:
    """Groups in which somebody prefers something."""
    return [group for group in feedback.read(file) if any(said.pairs() for said in group.said(Ranking))]


def by_majority(file: Path) -> list[Group]:
    """The annotators' or workers' verdicts on the same texts as one, where it is no tie."""
    merged = [group for _, group in merge(feedback.located(file), "majority").groups]
    return [group for group in merged if any(said.pairs() for said in group.said(Ranking))]


def scored(file: Path) -> list[Group]:
    """The answers to one prompt together: how they are ordered is judged as well as their scores."""
    together: dict[Prompt, list[Group]] = {}
    for group in feedback.read(file):
        together.setdefault(group.prompt, []).append(group)
    made = []
    for prompt, groups in together.items():
        values = tuple(g.said(Scores)[0].values["overall"][0] for g in groups)
        said = Scores({"overall": values}, groups[0].said(Scores)[0].scale)
        made.append(Group(prompt, tuple(g.responses[0] for g in groups), (said,)))
    return made


def solutions(file: Path) -> list[Group]:
    """GSM8K questions with the solutions of four models, and whether each ends in the right number."""
    made = []
    for _, row in rows(file, refuse):
        answers = [row[solver] for solver in SOLVERS]
        responses = tuple(Response.of(answer["solution"]) for answer in answers)
        labels = Labels(tuple(bool(answer["is_correct"]) for answer in answers))
        made.append(Group(Prompt.of(row["question"]), responses, (labels,)))
    return made


def marked(file: Path) -> list[Group]:
    """Solutions with marks on their steps, without the words about them."""
    return [Group(g.prompt, g.responses, g.said(StepLabels), g.columns) for g in feedback.read(file)]


HUMAN, PROCESS = "human_comparisons", "process_labels"
SETS = (
    DataSet(
        "harmless", "hh_rlhf/harmless_base.train.jsonl.gz", compared, heldout="hh_rlhf/harmless_base.test.jsonl.gz"
    ),
    DataSet("oasst", f"{HUMAN}/oasst_ranked_trees.jsonl.gz", compared),
    DataSet("pandalm", f"{HUMAN}/pandalm_testset.jsonl.gz", by_majority),
    DataSet("llmfao", f"{HUMAN}/llmfao_crowd_comparisons.jsonl.gz", by_majority),
    DataSet("topical_chat", "likert/topical_chat.jsonl.gz", scored),
    DataSet("gsm8k", "gsm8k/model_solutions_test300.jsonl.gz", solutions),
    DataSet("bigbench_mistake", f"{PROCESS}/bigbench_mistake.jsonl.gz", marked),
    # A question turned round begins as the question does.
    DataSet("mr_gsm8k", f"{PROCESS}/mr_gsm8k_incorrect.jsonl.gz", marked, prefix=25),
)


def cut(groups: Sequence[Group], seed: str, prefix: int | None = None) -> tuple[list[Group], list[Group]]:
    """Two parts, each with half of the prompts; no prompt is in both."""
    prompts = sorted({key(group, prefix) for group in groups})
    random.Random(seed).shuffle(prompts)
    first = set(prompts[: round(0.5 * len(prompts))])
    inside = [key(group, prefix) in first for group in groups]
    return (
        [group for group, within in zip(groups, inside, strict=True) if within],
        [group for group, within in zip(groups, inside, strict=True) if not within],
    )


def parts(made: DataSet, data: Path) -> tuple[list[Group], list[Group]]:
    """The two halves of a data set."""
    groups = made.read(data / made.file)
    if made.heldout is None:
        return cut(groups, f"halves/{made.name}", made.prefix)
    tested = made.read(data / made.heldout)
    closed = {key(group, made.prefix) for group in tested}
    return [group for group in groups if key(group, made.prefix) not in closed], tested


def corpus(data: Path) -> Iterator[Group]:
    """What the base reads: the preferred conversations of hh-rlhf as plain text, what was not preferred as an answer
    to its last turn, Alpaca, and solutions of GSM8K's training questions. Conversations of hh-rlhf's test files are not
    in it."""
    heldout = {key(group) for file in (data / "hh_rlhf").glob("*.test.jsonl.gz") for group in feedback.read(file)}
    for file in sorted((data / "hh_rlhf").glob("*.train.jsonl.gz")):
        for group in feedback.read(file):
            if key(group) in heldout:
                continue
            better, worse = (response.text for response in group.responses)
            if better.strip():
                yield Group(Prompt(), (Response.of(f"{group.prompt.text}\n\n{better}"),))
            if worse.strip() and worse != better:
                yield Group(Prompt(group.prompt.messages[-1:]), (Response.of(worse),))
    for file in sorted((data / "alpaca").glob("alpaca_*.jsonl.gz")):
        yield from (Group(g.prompt, g.responses) for g in feedback.read(file, skip_bad=True))
    if (file := data / "gsm8k/train.jsonl.gz").exists():
        for _, row in rows(file, refuse):
            yield Group(Prompt.of(row["question"]), (Response.of(row["answer"]),))


def _save(groups: Sequence[Group], path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = ({"task": g.columns["task"]} if "task" in g.columns else {} for g in groups)
    bare = (Group(g.prompt, g.responses, g.feedback, columns) for g, columns in zip(groups, kept, strict=True))
    return feedback.write(bare, path, "group")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("out", type=Path, metavar="OUT")
    chosen = parser.parse_args(arguments)
    for made in SETS:
        halves = parts(made, chosen.data)
        for half, groups in zip("ab", halves, strict=True):
            _save(groups, chosen.out / made.name / f"{half}.jsonl.gz")
        print(f"{made.name}: {len(halves[0])} and {len(halves[1])} groups")
    texts = list(corpus(chosen.data))
    print(f"corpus: {_save(texts, chosen.out / 'corpus.jsonl.gz')} texts")


if __name__ == "__main__":
    main()
