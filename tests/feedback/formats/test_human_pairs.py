"""Published pairs: PandaLM, LLMBar and the crowd of LLMFAO."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from truing import feedback
from truing.errors import DataError
from truing.feedback import formats
from truing.feedback.formats import llmbar, llmfao, pandalm
from truing.group import Prompt, Ranking, Response

PANDA = {
    "instruction": "Add.",
    "input": "1, 2",
    "response1": "3",
    "response2": "",
    "annotator1": 1,
    "annotator2": 0,
    "annotator3": 2,
    "judge_gpt35": "1",
}
PAIR = {"subset": "natural", "input": "Q", "output_1": "a", "output_2": "b", "label": 2}
VOTE = {"id": 9, "prompt": 20, "model_x": 97, "model_y": 98, "worker": 83, "winner": "right"}


def test_three_annotators_of_pandalm_are_three_rankings_of_one_group() -> None:
    group = pandalm.FORMAT.read(PANDA, "f:1")
    assert formats.recognised(PANDA) is pandalm.FORMAT
    assert group.prompt == Prompt.of("Add.\n\n1, 2")
    assert group.responses == (Response.of("3"), Response.of(""))
    assert group.feedback == (
        Ranking((1, 2), annotator_id="annotator1"),
        Ranking((1, 1), annotator_id="annotator2"),
        Ranking((2, 1), annotator_id="annotator3"),
    )
    assert group.columns == {"judge_gpt35": "1"}


def test_a_pandalm_row_may_ask_by_its_input_alone_and_answer_with_true() -> None:
    group = pandalm.FORMAT.read({**PANDA, "instruction": "", "response1": True}, "f:1")
    assert (group.prompt, group.responses[0].text) == (Prompt.of("1, 2"), "True")
    with pytest.raises(DataError, match="column `instruction` is empty"):
        pandalm.FORMAT.read({**PANDA, "instruction": "", "input": " "}, "f:1")


@pytest.mark.parametrize("verdict", [3, "1", True, None])
def test_a_verdict_other_than_0_1_2_is_refused(verdict: Any) -> None:
    with pytest.raises(DataError, match="column `annotator2`"):
        pandalm.FORMAT.read({**PANDA, "annotator2": verdict}, "f:1")


def test_the_label_of_llmbar_names_the_better_output() -> None:
    group = llmbar.FORMAT.read(PAIR, "f:1")
    assert formats.recognised(PAIR) is llmbar.FORMAT
    assert group.feedback == (Ranking((2, 1)),)
    assert group.columns == {"subset": "natural"}
    with pytest.raises(DataError, match="column `label` holds 0"):
        llmbar.FORMAT.read({**PAIR, "label": 0}, "f:1")


@pytest.fixture
def votes(tmp_path: Path) -> Path:
    (tmp_path / "llmfao_prompts.jsonl").write_text('{"id": 20, "text": "Q"}\n')
    texts = [{"prompt": 20, "model": 97, "result": "a"}, {"prompt": 20, "model": 98, "result": ""}]
    packed = gzip.compress("".join(json.dumps(row) + "\n" for row in texts).encode())
    (tmp_path / "llmfao_responses.jsonl.gz").write_bytes(packed)
    path = tmp_path / "votes.jsonl"
    path.write_text(json.dumps(VOTE) + "\n" + json.dumps({**VOTE, "winner": "tie", "worker": None}) + "\n")
    return path


def test_a_crowd_vote_finds_its_texts_beside_it(votes: Path) -> None:
    first, second = feedback.read_all(votes)
    assert (first.prompt, first.responses) == (Prompt.of("Q"), (Response.of("a"), Response.of("")))
    assert first.feedback == (Ranking((2, 1), annotator_id="83"),)
    assert second.feedback == (Ranking((1, 1)),)
    assert first.columns == {"id": 9}


def test_a_text_that_is_missing_is_named(votes: Path) -> None:
    with pytest.raises(DataError, match="llmfao_responses.jsonl.gz has no text for prompt 20, model 5"):
        llmfao.FORMAT.read({**VOTE, "model_y": 5}, f"{votes}:1")
    (votes.parent / "llmfao_prompts.jsonl").unlink()
    with pytest.raises(DataError, match="the texts are not there\n.*llmfao_prompts.jsonl"):
        llmfao.FORMAT.read(VOTE, f"{votes}:1")


@pytest.mark.parametrize(("column", "value"), [("winner", "x"), ("model_x", "97"), ("prompt", True), ("worker", [1])])
def test_a_vote_that_says_nothing_is_refused(votes: Path, column: str, value: Any) -> None:
    with pytest.raises(DataError, match=f"column `{column}` holds"):
        llmfao.FORMAT.read({**VOTE, column: value}, f"{votes}:1")
