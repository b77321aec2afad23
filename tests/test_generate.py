from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from truing import feedback
from truing.cli import app
from truing.errors import UserError
from truing.evaluate.best_of_n import exact_kl, kl_bound
from truing.evaluate.sampled_best_of_n import measure
from truing.generate import generate
from truing.group import Group, Prompt
from truing.recipe import Named
from truing.registry import reward
from truing.rollouts.sampling import Sampling
from truing.sampler import Sampler, logprobs

SAMPLING = Sampling(max_new_tokens=6, seed=3)


@reward
def long_text(prompts: list[str], completions: list[str]) -> list[float]:
    return [float(len(c)) for c in completions]


@reward
def only_of_cats(prompts: list[str], completions: list[str]) -> list[float | None]:
    return [1.0 if "cat" in p else None for p in prompts]


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_best_of_n_is_written_as_a_demonstration_with_its_reward(
    toy_folder: Path, prompts: Path, tmp_path: Path
) -> None:
    every, best = tmp_path / "every.jsonl", tmp_path / "best.jsonl"
    asked = {"num_samples": 4, "sampling": SAMPLING, "rewards": [Named(name="long_text")]}
    generate(str(toy_folder), str(prompts), every, **asked)
    done = generate(str(toy_folder), str(prompts), best, only_best=True, **asked)
    for row, all_of_it in zip(_rows(best), _rows(every), strict=True):
        assert row["reward"] == len(row["completion"]) == max(all_of_it["scores"])
        assert row["completion"] == all_of_it["responses"][0]
        assert all_of_it["scores"] == sorted(all_of_it["scores"], reverse=True)
    (said,) = feedback.read_all(best)[0].responses
    assert said.text == _rows(best)[0]["completion"], "sft reads it"
    words = done.text(best_of=True)
    assert "40 prompts answered" in words
    assert f"best of 4, {sum(done.averages) / 40:.3f}" in words
    assert f"at most {kl_bound(4):.2f} nats" in words


def test_rows_that_cannot_be_read_may_be_skipped(toy_folder: Path, prompts: Path, tmp_path: Path) -> None:
    bad, out = tmp_path / "bad.jsonl", tmp_path / "out.jsonl"
    bad.write_text(prompts.read_text() + "not json\n")
    done = generate(str(toy_folder), str(bad), out, num_samples=1, sampling=SAMPLING, skip_bad=True)
    assert len(_rows(out)) == done.prompts == 40
    assert "1 rows skipped as unreadable; the first: " in done.text(best_of=False)
    assert "bad.jsonl:41" in done.text(best_of=False)


def test_a_prompt_that_no_reward_speaks_of_is_answered_and_counted(
    toy_folder: Path, prompts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    named = [Named(name="only_of_cats")]
    done = generate(str(toy_folder), str(prompts), out, num_samples=2, sampling=SAMPLING, rewards=named, only_best=True)
    rows = _rows(out)
    silent = [row for row in rows if row["reward"] is None]
    assert 0 < len(silent) == done.silent < 40
    assert all("cat" not in row["prompt"][0]["content"] for row in silent)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--best-of", "4"], "nothing says which is best"),
        (["--best-of", "4", "--samples", "2", "--reward", "long_text"], "--best-of 4 and --samples 2"),
        (["--all"], "--all without --best-of"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: list[str], words: str, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    run = CliRunner().invoke(app, ["generate", "--model", "m", "--data", "d", "--out", str(out), *options])
    assert isinstance(run.exception, UserError)
    assert words in str(run.exception)


def test_a_curve_says_what_more_samples_are_worth_and_to_whom(toy_folder: Path, prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "curve.json"
    said = measure(
        str(toy_folder), str(prompts), out, [Named(name="long_text")], values=[Named(name="long_text", weight=-1.0)],
        largest=4, samples=6, sampling=SAMPLING,
    )  # fmt: skip
    assert said.startswith("40 prompts, 6 samples each\n")
    found = json.loads(out.read_text())["curve"]
    assert [point["n"] for point in found] == [1, 2, 4]
    rewards = [point["reward"]["value"] for point in found]
    assert rewards == sorted(rewards)
    assert [point["value"]["value"] for point in found] == pytest.approx([-r for r in rewards])


def test_best_of_n_of_a_model_is_where_the_theory_says(toy_folder: Path) -> None:
    """Responses of one token can all be listed, with their probabilities."""
    sampler = Sampler(toy_folder)
    group, n, draws = Group(Prompt.of("the cat")), 4, 3000
    answered = sampler.answer([group], n * draws, Sampling(max_new_tokens=1, seed=0))[0]
    probabilities = {
        s.tokens[0]: math.exp(s.logprobs[0]) for s in answered.samples
    }  # of those that came up: nearly all of 320
    generator = torch.Generator().manual_seed(0)
    worth = torch.rand(320, generator=generator).tolist()
    left = 1 - sum(probabilities.values())
    assert 0 <= left < 0.02
    listed = [*probabilities.items(), (-1, left)]
    rewards = [worth[token] if token >= 0 else -1.0 for token, _ in listed]
    kl = exact_kl([p for _, p in listed], rewards, n)
    assert kl <= kl_bound(n)
    assert kl == pytest.approx(kl_bound(n), abs=0.03), "320 responses, none of them likely: almost no bound at all"
    # And the sampler's own best of 4, drawn 3,000 times: E[log(q/p)] over what it chose is that KL.
    tokens = [s.tokens[0] for s in answered.samples]
    chosen = Counter(max(tokens[i : i + n], key=lambda t: worth[t]) for i in range(0, len(tokens), n))
    below: dict[int, float] = {}
    total = 0.0
    for token, p in sorted(listed, key=lambda each: worth[each[0]] if each[0] >= 0 else -1.0):
        below[token] = total
        total += p
    estimate = sum(
        count * math.log(((below[t] + probabilities[t]) ** n - below[t] ** n) / probabilities[t])
        for t, count in chosen.items()
    ) / draws  # fmt: skip
    # log(q/p) has a standard deviation of about 0.8 here: 0.015 over 3,000 draws.
    assert estimate == pytest.approx(kl, abs=0.06)


def test_another_models_log_probabilities_of_the_samples_are_its_own(toy_folder: Path) -> None:
    sampler = Sampler(toy_folder)
    answered = sampler.answer([Group(Prompt.of("the dog"))], 3, Sampling(temperature=0.7, max_new_tokens=5, seed=1))
    (said,) = logprobs(toy_folder, answered, temperature=0.7)
    assert said == pytest.approx([math.fsum(s.logprobs) for s in answered[0].samples], abs=1e-3)
