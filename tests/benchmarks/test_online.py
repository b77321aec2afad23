from __future__ import annotations

from pathlib import Path

import pytest
import torch
from common.groups import Group
from common.models import EOS, SIZES, Size, write_model
from common.online import generation, make_end_likely, make_prompts, of_step, question, same_lengths, sums, training
from common.steps import check_prompts, figures
from ppo import as_long

TINY = Size(hidden=2, layers=3, heads=1, key_heads=1, inner=5, vocabulary=7, head_width=2)
BODY, HEAD, ATTENTION = 2 * 138, 2 * 14, 4 * 2 * 3
STEP = [(3, [1, 2]), (2, [3, 3])]


def test_the_lengths_of_a_step_add_up() -> None:
    drawn = of_step(STEP)
    assert (drawn.prompts, drawn.responses) == (2, 4)
    assert (drawn.prompt, drawn.response, drawn.once) == (5, 9, 14)
    assert drawn.useful == 3 + 1 + 3 + 2 + 2 + 3 + 2 + 3
    # Prompts 6 + 3. The last token of a response is not looked at: 0, then 3 + 1, then twice 2 + 1 and 2 + 2.
    assert drawn.seen == 6 + 3 + 4 + 2 * (2 + 1 + 2 + 2)


def test_sampling_needs_each_prompt_once_and_nothing_of_last_tokens() -> None:
    # 5 prompt tokens and 9 − 4 that are followed by another; a group's first tokens share their predictions
    expected = BODY * 10 + HEAD * (2 + 5) + ATTENTION * 27
    assert generation(TINY, of_step(STEP)) == expected


def test_training_predicts_every_token() -> None:
    assert training(TINY, of_step(STEP), forwards=3) == 3 * (BODY * 10 + HEAD * 9 + ATTENTION * 27)


def test_a_models_responses_end_after_the_mean_that_was_asked_for(tmp_path: Path) -> None:
    from truing.models.loading import load_causal_lm

    write_model(SIZES["toy"], tmp_path)
    make_end_likely(tmp_path, 10)
    model = load_causal_lm(tmp_path)
    ids = torch.randint(3, 256, (4, 100), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        chance = model(input_ids=ids).logits.softmax(-1)[..., EOS]
    assert float(chance.mean()) == pytest.approx(0.1, rel=0.1)
    assert float(chance.std()) < 0.05


def test_prompts_are_rows_that_ask() -> None:
    groups = make_prompts(3, 256, seed=0)
    assert [group.responses for group in groups] == [[], [], []]
    assert question(Group([3, 4], [])) == {"prompt": "t3 t4 "}


def test_the_reward_tells_responses_apart() -> None:
    assert sums([], [], [[96], [97], [50, 50]]) == pytest.approx([96 / 97, 0, 3 / 97])


def test_lengths_are_apart_by_standard_errors() -> None:
    # means 2 and 5, variances 1 and 1 of three each: 3 / √(2/3)
    assert same_lengths([1, 2, 3], [4, 5, 6]) == pytest.approx(3 / (2 / 3) ** 0.5)
    assert same_lengths([4, 4], [4, 4]) == 0


def test_other_prompts_than_those_that_were_written_end_the_comparison() -> None:
    written = [Group([3] * size, []) for size in (4, 5)]
    check_prompts("truing", [[(4, [1]), (5, [1])]], written, 2)
    with pytest.raises(SystemExit, match="4"):
        check_prompts("truing", [[(4, [1]), (6, [1])]], written, 2)


def test_a_step_is_sampling_and_the_rest() -> None:
    step = {"cpu/generation": 1.0, "cpu/experience": 1.5}
    result = {
        "cpu_steps": [9.0, 4.0], "steps": [step, step], "lengths": [STEP, STEP], "gemm_rates": {"a": 1e4, "b": 2e4},
        "cpu_process": 20.0, "cpu_imports": 3.0, "cpu_loading": 1.0, "peak_megabytes": 500.0,
    }  # fmt: skip
    found = figures(result, TINY, forwards=3)
    assert (found["cpu_generation"], found["cpu_making"], found["cpu_update"]) == (1.0, 0.5, 2.5)
    assert found["generation_share"] == pytest.approx(generation(TINY, of_step(STEP)) / 2e4)
    assert found["training_share"] == pytest.approx(training(TINY, of_step(STEP), forwards=3) / 2e4 / 3.0)
    assert found["cpu_per_token"] == pytest.approx(4.0 / of_step(STEP).useful)


def test_pairs_are_as_long_as_the_samples_were() -> None:
    (made,) = as_long([Group([5, 6], [])], [[(2, [4, 1])]])
    assert made.prompt == [5, 6]
    # an end token follows each; a response that is nothing else has a word before it
    assert made.response_tokens == [4, 2]
