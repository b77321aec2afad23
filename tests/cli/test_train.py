"""`truing train`: what is wrong is said in one message, and nothing is half-written."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

Truing = Callable[..., Any]


def test_a_run_from_the_command_line_says_where_everything_is(
    truing: Truing, toy_folder: Path, pairs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    run = truing("train", "dpo", "--model", toy_folder, "--data", pairs, "--out", out, "--set", "batch_size=20")
    assert run.returncode == 0, run.stderr
    assert f"model: {out / 'model'}" in run.stdout
    assert "loss 0.69" in run.stderr
    assert (out / "model" / "config.json").exists()
    first, *stages = (line.partition("  ")[2] for line in run.stderr.splitlines() if line.startswith("dpo → "))
    assert first == "loading torch and transformers", "said before anything takes time"
    assert f"reading and tokenising {pairs}" in stages
    assert "saving the model" in stages


def test_a_wrong_key_of_a_recipe(truing: Truing, toy_folder: Path, pairs: Path, tmp_path: Path) -> None:
    run = truing(
        "train", "dpo", "--model", toy_folder, "--data", pairs, "--out", tmp_path / "run", "--set", "bta=0.2"
    )  # fmt: skip
    run.refused("unknown key `bta`", "Did you mean `beta`?")
    assert not (tmp_path / "run").exists()


def test_a_missing_column_is_named_with_file_and_line(truing: Truing, toy_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "odd.jsonl"
    file.write_text('{"prompt": "a", "chosen": "b", "rejectd": "c"}\n')
    run = truing("train", "dpo", "--model", toy_folder, "--data", file, "--out", tmp_path / "run")
    run.refused("odd.jsonl:1", "rejected")
    assert not (tmp_path / "run").exists()


def test_an_empty_file(truing: Truing, toy_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "empty.jsonl"
    file.write_text("")
    truing("train", "sft", "--model", toy_folder, "--data", file, "--out", tmp_path / "run").refused("empty.jsonl")


def test_a_truncated_gzip(truing: Truing, toy_folder: Path, pairs: Path, tmp_path: Path) -> None:
    file = tmp_path / "cut.jsonl.gz"
    file.write_bytes(gzip.compress(pairs.read_bytes())[:-20])
    run = truing("train", "dpo", "--model", toy_folder, "--data", file, "--out", tmp_path / "run")
    run.refused("cut.jsonl.gz")
    assert not (tmp_path / "run").exists()


def test_a_model_folder_without_a_tokenizer(truing: Truing, toy_folder: Path, pairs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(toy_folder, folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json"):
        (folder / name).unlink(missing_ok=True)
    run = truing("train", "dpo", "--model", folder, "--data", pairs, "--out", tmp_path / "run")
    run.refused(str(folder), "tokenizer")
    assert not (tmp_path / "run").exists()


def test_the_wrong_kind_of_feedback_names_the_conversion(
    truing: Truing, toy_folder: Path, demonstrations: Path, tmp_path: Path
) -> None:
    run = truing("train", "dpo", "--model", toy_folder, "--data", demonstrations, "--out", tmp_path / "run")
    run.refused("demonstrations.jsonl:1", "needs pairs")


def test_a_loss_that_is_no_number_fails_with_code_1(
    truing: Truing, toy_folder: Path, pairs: Path, tmp_path: Path
) -> None:
    run = truing(
        "train", "sft", "--model", toy_folder, "--data", pairs, "--out", tmp_path / "run",
        "--set", "learning_rate=1e30", "--set", "batch_size=4",
    )  # fmt: skip
    run.refused("gradient norm", "left as they were", code=1)
    assert not (tmp_path / "run" / "model").exists()


def test_rollouts_need_a_reward(truing: Truing, toy_folder: Path, prompts: Path, tmp_path: Path) -> None:
    run = truing("train", "grpo", "--model", toy_folder, "--data", prompts, "--out", tmp_path / "run")
    run.refused("nothing says which are good", "--reward")


def test_a_users_reward_from_a_file_trains(truing: Truing, toy_folder: Path, prompts: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from truing.registry import reward\n\n"
        "@reward\n"
        "def short(prompts, completions, *, answer, most: int = 5, **columns):\n"
        "    assert len(answer) == len(completions)\n"
        "    return [-float(len(ids) > most) for ids in columns['completion_ids']]\n"
    )
    out = tmp_path / "run"
    run = truing(
        "train", "grpo", "--model", toy_folder, "--data", prompts, "--out", out, "--use", file, "--reward", "short",
        "--set", "update.steps=3", "--set", "max_new_tokens=12", "--set", "group_size=4", "--set", "prompts_per_step=4",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    lines = [json.loads(line) for line in (out / "record.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert all(-1.0 <= line["rewards/short/mean"] <= 0.0 for line in lines)
    assert (out / "samples.jsonl").exists()
