"""The command line as a user meets it: one clear message, the right exit code, no traceback, nothing half-written."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from truing.cli import main


@dataclass(frozen=True)
class Run:
    returncode: int
    stdout: str
    stderr: str


def truing(*arguments: object) -> Run:
    """The entry point with these arguments, in this process: starting Python and torch anew takes seconds."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    before = sys.argv
    sys.argv = ["truing", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        sys.argv = before
    return Run(code, out.getvalue(), err.getvalue())


def refused(run: Run, *words: str, code: int = 2) -> None:
    assert run.returncode == code, run.stderr
    assert "Traceback" not in run.stderr
    for word in words:
        assert word in run.stderr
    assert run.stderr.count("error:") == 1


def test_help_is_fast_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from truing.cli import app; from typer.testing import CliRunner;"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0;"
        "print([m for m in ('torch', 'transformers', 'numpy', 'datasets') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
    # CPU seconds, not wall: other work on the machine does not count. Half a second is the promise.
    before = os.times()
    subprocess.run([sys.executable, "-m", "truing.cli", "--help"], check=True, capture_output=True)
    after = os.times()
    assert after.children_user + after.children_system - before.children_user - before.children_system < 0.5


def test_recipes_are_listed_printed_and_explained() -> None:
    listed = truing("recipes").stdout
    assert "dpo" in listed
    assert "arXiv:2305.18290" in listed
    assert "learning_rate: 5.0e-07" in truing("recipes", "dpo").stdout
    explained = truing("explain", "grpo").stdout
    assert "ref_logprobs" in explained
    assert "reference (frozen copy)" in explained


def test_an_error_from_the_shell_is_one_message_and_an_exit_code() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "truing.cli", "recipes", "grop"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert run.stderr.startswith("error: there is no recipe `grop`\n  Did you mean `grpo`?")
    assert "Traceback" not in run.stderr


def test_a_run_from_the_command_line_says_where_everything_is(toy_folder: Path, pairs: Path, tmp_path: Path) -> None:
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


def test_a_wrong_key_of_a_recipe(toy_folder: Path, pairs: Path, tmp_path: Path) -> None:
    run = truing(
        "train", "dpo", "--model", toy_folder, "--data", pairs, "--out", tmp_path / "run", "--set", "bta=0.2"
    )  # fmt: skip
    refused(run, "unknown key `bta`", "Did you mean `beta`?")
    assert not (tmp_path / "run").exists()


def test_a_missing_column_is_named_with_file_and_line(toy_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "odd.jsonl"
    file.write_text('{"prompt": "a", "chosen": "b", "rejectd": "c"}\n')
    run = truing("train", "dpo", "--model", toy_folder, "--data", file, "--out", tmp_path / "run")
    refused(run, "odd.jsonl:1", "rejected")
    assert not (tmp_path / "run").exists()


def test_an_empty_file(toy_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "empty.jsonl"
    file.write_text("")
    refused(truing("train", "sft", "--model", toy_folder, "--data", file, "--out", tmp_path / "run"), "empty.jsonl")


def test_a_truncated_gzip(toy_folder: Path, pairs: Path, tmp_path: Path) -> None:
    file = tmp_path / "cut.jsonl.gz"
    file.write_bytes(gzip.compress(pairs.read_bytes())[:-20])
    run = truing("train", "dpo", "--model", toy_folder, "--data", file, "--out", tmp_path / "run")
    refused(run, "cut.jsonl.gz")
    assert not (tmp_path / "run").exists()


def test_a_model_folder_without_a_tokenizer(toy_folder: Path, pairs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(toy_folder, folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json"):
        (folder / name).unlink(missing_ok=True)
    run = truing("train", "dpo", "--model", folder, "--data", pairs, "--out", tmp_path / "run")
    refused(run, str(folder), "tokenizer")
    assert not (tmp_path / "run").exists()


def test_the_wrong_kind_of_feedback_names_the_conversion(
    toy_folder: Path, demonstrations: Path, tmp_path: Path
) -> None:
    run = truing("train", "dpo", "--model", toy_folder, "--data", demonstrations, "--out", tmp_path / "run")
    refused(run, "demonstrations.jsonl:1", "needs pairs")


def test_a_loss_that_is_no_number_fails_with_code_1(toy_folder: Path, pairs: Path, tmp_path: Path) -> None:
    run = truing(
        "train", "sft", "--model", toy_folder, "--data", pairs, "--out", tmp_path / "run",
        "--set", "learning_rate=1e30", "--set", "batch_size=4",
    )  # fmt: skip
    refused(run, "gradient norm", "left as they were", code=1)
    assert not (tmp_path / "run" / "model").exists()


def test_rollouts_need_a_reward(toy_folder: Path, prompts: Path, tmp_path: Path) -> None:
    run = truing("train", "grpo", "--model", toy_folder, "--data", prompts, "--out", tmp_path / "run")
    refused(run, "nothing says which are good", "--reward")


def test_a_users_reward_from_a_file_trains(toy_folder: Path, prompts: Path, tmp_path: Path) -> None:
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


def test_samples_with_a_reward_model_come_best_first(
    toy_folder: Path, pairs: Path, prompts: Path, tmp_path: Path
) -> None:
    judge = tmp_path / "judge"
    made = truing("train", "reward", "--model", toy_folder, "--data", pairs, "--out", judge, "--set", "batch_size=20")
    assert made.returncode == 0, made.stderr
    out = tmp_path / "samples.jsonl"
    run = truing(
        "generate", "--model", toy_folder, "--data", prompts, "--out", out, "--samples", "3", "--reward", judge,
        "--max-new-tokens", "8",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == 40
    assert all(row["scores"] == sorted(row["scores"], reverse=True) and len(row["responses"]) == 3 for row in rows)
    assert rows[0]["answer"]


def test_feedback_is_checked_counted_and_converted(pairs: Path, tmp_path: Path) -> None:
    assert "40 groups, 0 problems" in truing("feedback", "check", pairs).stdout
    assert "ranking: 40" in truing("feedback", "stats", pairs).stdout
    out = tmp_path / "out.parquet"
    assert truing("feedback", "convert", pairs, "--to", "ranking", "--out", out).returncode == 0
    assert "40 groups" in truing("feedback", "check", out).stdout
    bad = tmp_path / "bad.jsonl"
    bad.write_text(pairs.read_text() + "not json\n")
    run = truing("feedback", "check", bad)
    assert run.returncode == 2
    assert "bad.jsonl:41" in run.stdout


def test_annotators_are_merged_and_scores_get_strength_from_the_command_line(tmp_path: Path) -> None:
    votes, out = tmp_path / "votes.jsonl", tmp_path / "out.jsonl"
    rows = [
        {"prompt": str(n), "responses": ["a", "b"], "ranking": [0, 1] if (who == "liar") == n % 2 else [1, 0]}
        | {"annotator_id": who}
        for n in range(20)
        for who in ("x", "y", "z", "liar")
    ]
    votes.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = truing("feedback", "convert", votes, "--to", "pairs", "--merge", "dawid_skene", "--out", out)
    assert run.returncode == 0, run.stderr
    assert "merged by dawid_skene: 20 groups" in run.stdout
    assert "the least reliable: liar 0.0" in run.stdout
    votes.write_text('{"prompt": "p", "responses": ["a", "b"], "scores": [1, 3]}\n')
    options = ("--to", "pairs", "--strength-scale", "2", "--out", out)
    assert truing("feedback", "convert", votes, *options).returncode == 0
    assert round(json.loads(out.read_text())["strength"], 6) == 0.731059  # sigmoid(1)
    run = truing("feedback", "convert", votes, "--to", "pairs", "--strength-scale", "0", "--out", out)
    assert run.returncode == 2


def test_the_embedded_world_writes_its_files(tmp_path: Path) -> None:
    out = tmp_path / "demonstrations.jsonl"
    assert truing("lab", "demonstrations", "--out", out, "--num", "20").returncode == 0
    assert "20 groups, 0 problems" in truing("feedback", "check", out).stdout
    refused(truing("lab", "prompts", "--out", tmp_path / "p.jsonl", "--split", "nope"), "nope")
    assert Path(truing("lab", "model").stdout.strip(), "model.safetensors").is_file()


def test_two_adapters_trained_in_parallel_become_one_plain_model(tmp_path: Path) -> None:
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
    refused(truing("export", sft, base, "--out", tmp_path / "no"), "this is a whole model", "lora.r=16")
    refused(truing("export", sft, dpo, "--out", tmp_path / "no", "--by", "tie"), "no merging by `tie`")
    assert not (tmp_path / "no").exists()
