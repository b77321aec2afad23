"""Groups and rows, and back to requests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from truing import lab
from truing.errors import DataError, UserError
from truing.group import Group, Prompt
from truing.lab.calculation import equations


def test_demonstrations_have_one_answer_and_the_share_of_arithmetic() -> None:
    groups = lab.demonstrations(1600, seed=0)
    assert len(groups) == 1600
    assert all(len(g.responses) == 1 for g in groups)
    assert sum(g.columns["kind"] == "arithmetic" for g in groups) == 600


def test_demonstrations_are_of_the_training_split_only() -> None:
    train = {r.text for r in lab.requests("train")}
    chat = [g for g in lab.demonstrations(800, seed=1) if g.columns["kind"] != "arithmetic"]
    assert {g.prompt.text for g in chat} <= train


def test_the_mix_of_solutions_can_be_set() -> None:
    groups = lab.demonstrations(200, arithmetic=1.0, solutions={"chain": 1.0})
    assert all(lab.math_reward(lab.request_of(g), g.responses[0].text) == 1.0 for g in groups)
    assert all(len(equations(g.responses[0].text)) >= 2 for g in groups)


def test_half_of_the_word_problems_are_answered_directly_by_default() -> None:
    groups = lab.demonstrations(2000, arithmetic=1.0)
    assert sum("=" not in g.responses[0].text for g in groups) / 2000 == pytest.approx(0.5, abs=0.03)


def test_seeds_repeat_and_differ() -> None:
    assert lab.demonstrations(50, 3) == lab.demonstrations(50, 3) != lab.demonstrations(50, 4)
    assert lab.prompts("dev", 20, 3) == lab.prompts("dev", 20, 3) != lab.prompts("dev", 20, 4)


def test_prompts_are_bare_and_different() -> None:
    groups = lab.prompts("test", 500)
    assert len({g.prompt.text for g in groups}) == 500
    assert all(g.responses == () for g in groups)
    assert len(lab.prompts("test")) == 540


def test_more_prompts_than_there_are_is_an_error() -> None:
    with pytest.raises(UserError, match="split dev has 273"):
        lab.prompts("dev", 274)


def test_every_group_leads_back_to_its_request() -> None:
    for split in lab.SPLITS:
        assert [lab.request_of(g) for g in lab.prompts(split)] == lab.requests(split)
    assert [lab.request_of(g) for g in lab.problems("dev", 20)] == lab.word_problems("dev", 20)


@pytest.mark.parametrize(
    "columns",
    [{}, {"kind": "how"}, {"kind": "how", "item": "rob"}, {"kind": "arithmetic", "item": "1 + x"}, {"kind": ["how"]}],
)
def test_a_foreign_group_is_refused(columns: dict[str, object]) -> None:
    with pytest.raises(DataError, match="no request of the embedded world"):
        lab.request_of(Group(Prompt.of("Hi"), columns=columns))


def test_written_demonstrations_are_trl_messages_that_describe_themselves(tmp_path: Path) -> None:
    path = tmp_path / "new" / "demonstrations.jsonl"
    assert lab.write_demonstrations(path, 40, seed=2) == 40
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for row, group in zip(rows, lab.demonstrations(40, seed=2), strict=True):
        assert [m["role"] for m in row["messages"]] == ["user", "assistant"]
        assert row["messages"][1]["content"] == group.responses[0].text
        assert {"kind": row["kind"], "item": row["item"]}.items() <= dict(group.columns).items()


def test_written_prompts_and_problems_carry_what_a_reward_needs(tmp_path: Path) -> None:
    assert lab.write_prompts(tmp_path / "p.jsonl", "new") == 243
    assert lab.write_problems(tmp_path / "q.jsonl", "train", 10) == 10
    row = json.loads((tmp_path / "p.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert row == {
        "prompt": [{"role": "user", "content": "Hello there. How do I bake bread?"}],
        "kind": "how",
        "item": "bake bread",
    }
    problem = json.loads((tmp_path / "q.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert problem["answer"] == eval(problem["item"])


def test_written_solutions_say_the_answer_at_once_in_the_share_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "solutions.jsonl"
    for direct, least, most in ((1.0, 200, 200), (0.25, 30, 70), (0.0, 0, 0)):
        assert lab.write_solutions(path, 200, direct=direct) == 200
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        assert {row["kind"] for row in rows} == {"arithmetic"}
        assert least <= sum("=" not in row["messages"][1]["content"] for row in rows) <= most
