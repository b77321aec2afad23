"""The reward `code`: where the code is in a response, what its row asks, and what real problems say."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from truing.bind import bind
from truing.errors import DataError, RecipeError
from truing.group import Group, Prompt
from truing.recipe import Named
from truing.registry import reward
from truing.rewards.code import CodeReward, code_of, same_output, task_of
from truing.rewards.score import check_columns


@pytest.fixture(scope="module")
def judge() -> Iterator[CodeReward]:
    made = CodeReward(workers=2, cpu_seconds=2)
    if not made.sandbox.capabilities.safe:
        pytest.skip("this machine cannot confine untrusted code")
    yield made
    made.sandbox.close()


@pytest.fixture(scope="module")
def share() -> Iterator[CodeReward]:
    made = CodeReward(how="share", workers=1)
    if not made.sandbox.capabilities.safe:
        pytest.skip("this machine cannot confine untrusted code")
    yield made
    made.sandbox.close()


@pytest.mark.parametrize(
    ("completion", "code"),
    [
        ("```python\nx = 1\n```", "x = 1\n"),
        ("Words.\n\n```py\na\n```\nMore.\n```\nb\n```\n", "b\n"),
        ("```python\ndef f(): pass\n```\nHow to call it:\n```python\nf()\n```", "def f(): pass\n"),
        ("```bash\npip install x\n```\n```python\na\n```", "a\n"),
        ("```python\na\n```\n```text\nits output\n```", "a\n"),
        ("```python\ndef f():\n    return 'cut off", "def f():\n    return 'cut off"),
        ("    return 5\n", "    return 5\n"),
        ("def f(): return 5", "def f(): return 5"),
        ("<think>\n```python\nno\n```\n</think>\n```python\nyes\n```", "yes\n"),
        ("<think>I never stop ```python\nno\n```", ""),
        ("<think>so</think><answer>def f(): return 1</answer>", "def f(): return 1"),
        ("", ""),
    ],
)
def test_the_code_is_found_in_a_response(completion: str, code: str) -> None:
    assert code_of(completion, "f") == code


def test_the_code_is_found_in_no_time_whatever_the_response() -> None:
    for hostile in ("```" * 50_000, "```python\n" * 30_000, "`" * 200_000, " " * 200_000 + "```", "def " * 50_000):
        code_of(hostile, "f")


def test_outputs_agree_but_for_spaces_at_the_ends() -> None:
    assert same_output("1 2 \n3\n\n", "1 2\n3")
    assert not same_output("1  2", "1 2")
    assert not same_output("1\n2", "1 2")
    assert same_output("", "\n")


def test_humaneval_mbpp_and_programs_are_read(judge: CodeReward) -> None:
    stub = 'def twice(x):\n    """Twice."""\n'
    test = "def check(f):\n    assert f(2) == 4\n    assert f(3) == 6\n"
    good, bad = "```python\ndef twice(x):\n    return x * 2\n```", "    return x * x\n"
    columns: dict[str, Any] = {"test": [test] * 2, "entry_point": ["twice"] * 2}
    assert judge([stub] * 2, [good, bad], **columns) == [1.0, 0.0]
    assert judge(["?"] * 2, [good, bad], test_list=[["assert twice(4) == 8"]] * 2) == [1.0, 0.0]
    cases = [{"input": "1 2\n", "output": "3"}, {"input": "5 5\n", "output": "10\n"}]
    adds, prints = "print(sum(map(int, input().split())))", "print(3)"
    assert judge(["?"] * 2, [adds, prints], tests=[cases] * 2) == [1.0, 0.0]
    apps = json.dumps({"inputs": ["1 2", "5 5"], "outputs": ["3", "10"]})
    assert judge(["?"] * 2, [adds, prints], input_output=[apps] * 2) == [1.0, 0.0]


def test_a_share_of_the_tests_is_a_share_of_the_reward(share: CodeReward) -> None:
    test = "def check(f):\n    assert f(2) == 4\n    assert f(3) == 6\n    assert f(0) == 0\n    assert f(1) == 2\n"
    square = "def twice(x): return x * x"  # right for 2 and 0
    assert share(["?"], [square], test=[test], entry_point=["twice"]) == [0.5]
    assert share(["?"], [square], test_list=[["assert twice(2) == 4", "assert twice(3) == 6"]]) == [0.5]
    cases = [{"input": str(i), "output": str(2 * i)} for i in range(4)]
    assert share(["?"], ["print(int(input()) ** 2)"], tests=[cases]) == [0.5]


def test_a_program_that_fails_after_the_right_output_is_wrong(judge: CodeReward) -> None:
    cases = [[{"input": "", "output": "1"}]]
    assert judge(["?"], ["print(1)"], tests=cases) == [1.0]
    assert judge(["?"], ["print(1)\nraise ValueError"], tests=cases) == [0.0]
    assert judge(["?"], ["print(1, flush=True)\nwhile True: pass"], tests=cases) == [0.0]


def test_rows_without_tests_get_none(judge: CodeReward) -> None:
    tests = [["assert f() == 1"], None, []]
    assert judge(["?"] * 3, ["def f(): return 1"] * 3, test_list=tests) == [1.0, None, None]


def test_data_without_any_column_of_tests_is_refused_before_training() -> None:
    with pytest.raises(DataError, match="reward `code`: it reads one of the columns `test`, .* and no row has any"):
        check_columns("code", CodeReward, [Group(Prompt.of("?"), columns={"answer": "1"})])
    check_columns("code", CodeReward, [Group(Prompt.of("?"), columns={"test_list": ["assert f() == 1"]})])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"test": "x", "test_list": ["y"]}, "tests in more than one column: test, test_list"),
        ({"test": 5}, "`test` is 5"),
        ({"test_list": "assert 1"}, "`test_list` is 'assert 1'"),
        ({"test_list": [1]}, r"`test_list` is \[1\]"),
        ({"tests": "x"}, "`tests` is 'x'"),
        ({"tests": [{"input": 1, "output": "1"}]}, "a test is"),
        ({"tests": ["x"]}, "a test is 'x'"),
        ({"test": "x", "entry_point": "a b"}, "`entry_point` is 'a b'"),
        ({"input_output": "{"}, "`input_output` is '{'"),
        ({"input_output": {"inputs": ["1"], "outputs": []}}, "`input_output` is"),
        ({"input_output": {"inputs": [], "outputs": [], "fn_name": "f"}}, "calls a function, `f`"),
    ],
)
def test_columns_that_cannot_be_read_are_named(row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=f"(?s)^here: .*{message}"):
        task_of("?", row, "here")


def test_settings_are_checked_where_the_recipe_is_read() -> None:
    assert bind(reward, Named(name="code", settings={"how": "share", "workers": 2})).settings["how"] == "share"
    with pytest.raises(RecipeError, match="setting `how`"):
        bind(reward, Named(name="code", settings={"how": "half"}))
    with pytest.raises(RecipeError, match="setting `cpu_seconds`"):
        bind(reward, Named(name="code", settings={"cpu_seconds": 0}))


def real_rows(name: str) -> list[dict[str, Any]]:
    folder = Path(os.environ.get("TRUING_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not (folder / "code" / name).is_file():
        pytest.skip(f"no real data in {folder}: set TRUING_TEST_DATA to the folder that holds code/")
    with gzip.open(folder / "code" / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def column(rows: list[dict[str, Any]], name: str) -> list[Any]:
    return [row[name] for row in rows]


def test_the_reference_solutions_of_humaneval_pass_and_wrong_ones_fail(judge: CodeReward) -> None:
    rows = real_rows("humaneval_100.jsonl.gz")
    asked = {name: column(rows, name) for name in ("test", "entry_point")}
    prompts, answers = column(rows, "prompt"), column(rows, "canonical_solution")
    assert judge(prompts, answers, **asked) == [1.0] * 100
    whole = [f"Here it is:\n```python\n{p}{a}\n```\nDone." for p, a in zip(prompts, answers, strict=True)]
    assert judge(prompts, whole, **asked) == [1.0] * 100
    assert judge(prompts, answers[1:] + answers[:1], **asked) == [0.0] * 100


def test_the_reference_solutions_of_mbpp_pass_and_wrong_ones_fail(judge: CodeReward, share: CodeReward) -> None:
    rows = real_rows("mbpp_100.jsonl.gz")
    asked = {name: column(rows, name) for name in ("test_list", "test_setup_code")}
    prompts, answers = column(rows, "text"), column(rows, "code")
    assert judge(prompts, answers, **asked) == [1.0] * 100
    assert share(prompts, answers, **asked) == [1.0] * 100
    assert judge(prompts, answers[1:] + answers[:1], **asked) == [0.0] * 100
