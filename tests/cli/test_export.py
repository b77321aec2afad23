"""`truing export`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Truing = Callable[..., Any]


def test_two_adapters_trained_in_parallel_become_one_plain_model(truing: Truing, tmp_path: Path) -> None:
    base = truing("lab", "model").stdout.strip()
    demonstrations, pairs = tmp_path / "demonstrations.jsonl", tmp_path / "pairs.jsonl"
    assert truing("lab", "demonstrations", "--out", demonstrations, "--num", "24").returncode == 0
    rows = [json.loads(line)["messages"] for line in demonstrations.read_text().splitlines()]
    pairs.write_text(
        "".join(
            json.dumps({"prompt": ask["content"], "chosen": answer["content"], "rejected": "No."}) + "\n"
            for ask, answer in rows
        )
    )
    few = ("--set", "batch_size=12", "--set", "lora.r=4", "--set", "learning_rate=3e-3")
    sft, dpo, out = tmp_path / "sft", tmp_path / "dpo", tmp_path / "paft"
    for recipe, data, folder in (("paft_sft", demonstrations, sft), ("paft_dpo", pairs, dpo)):
        run = truing("train", recipe, "--model", base, "--data", data, "--out", folder, *few)
        assert run.returncode == 0, run.stderr
    run = truing("export", sft, dpo, "--out", out, "--by", "ties", "--weights", "1,0.5", "--density", "0.4")
    assert run.returncode == 0, run.stderr
    assert "merged by ties" in run.stdout
    assert f"model: {out}" in run.stdout
    said = json.loads((out / "truing.json").read_text())["merged"]
    assert said == {"adapters": [str(sft), str(dpo)], "by": "ties", "weights": [1.0, 0.5], "density": 0.4}
    answers = tmp_path / "answers.jsonl"
    run = truing("generate", "--model", out, "--data", demonstrations, "--out", answers, "--max-new-tokens", "4")
    assert run.returncode == 0, run.stderr
    assert len(answers.read_text().splitlines()) == 24
    truing("export", sft, base, "--out", tmp_path / "no").refused("this is a whole model", "lora.r=16")
    truing("export", sft, dpo, "--out", tmp_path / "no", "--by", "tie").refused("no merging by `tie`")
    assert not (tmp_path / "no").exists()
