"""`truing recipes` and `truing explain`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from truing.registry import objective

Truing = Callable[..., Any]


def test_recipes_are_listed_printed_and_explained(truing: Truing) -> None:
    listed = truing("recipes").stdout
    assert "dpo" in listed
    assert "arXiv:2305.18290" in listed
    assert "learning_rate: 5.0e-07" in truing("recipes", "dpo").stdout
    explained = truing("explain", "grpo").stdout
    assert "ref_logprobs" in explained
    assert "reference (frozen copy)" in explained


def test_a_recipe_with_an_objective_of_ones_own_is_explained(
    truing: Truing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "sft" in objective
    monkeypatch.setattr(objective, "_entries", dict(objective._entries))
    recipe, code = tmp_path / "mine.yaml", tmp_path / "mine.py"
    recipe.write_text(truing("recipes", "sft").stdout.replace("- sft:", "- mine:"))
    code.write_text(
        "from truing.registry import objective\n\n@objective\ndef mine(logprobs, mask):\n    return -logprobs, mask\n"
    )
    truing("explain", recipe).refused("there is no objective `mine`")
    assert "mine" in truing("explain", recipe, "--use", code).stdout


def test_a_recipe_with_an_objective_of_an_installed_package_is_explained(
    truing: Truing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "sft" in objective
    monkeypatch.setattr(objective, "_entries", dict(objective._entries))
    recipe, package = tmp_path / "mine.yaml", tmp_path / "packages"
    recipe.write_text(truing("recipes", "sft").stdout.replace("- sft:", "- theirs:"))
    info = package / "truing_explained-1.0.dist-info"
    info.mkdir(parents=True)
    (package / "truing_explained.py").write_text(
        "from truing.registry import objective\n\n@objective\ndef theirs(logprobs, mask):\n    return -logprobs, mask\n"
    )
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: truing_explained\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[truing]\ntruing_explained = truing_explained\n")
    monkeypatch.syspath_prepend(package)
    assert "theirs" in truing("explain", recipe).stdout
