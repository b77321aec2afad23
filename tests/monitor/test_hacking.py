"""A reward that can be gamed, on the embedded world, through the command line: the hidden judge looks on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from truing import lab
from truing.record import read_record

MINE = '''
from truing import lab
from truing.registry import reward

@reward
def hidden_judge(prompts, completions, *, kind, item, finished, **columns):
    """What the answers are really worth."""
    asked = [lab.Request(k, i, p) for k, i, p in zip(kind, item, prompts)]
    return [lab.utility(request, text, end) for request, text, end in zip(asked, completions, finished)]

@reward
def words(prompts, completions, **columns):
    """A reward that anybody can game: the more words the better."""
    return [float(len(text.split())) for text in completions]
'''


def test_a_reward_that_can_be_gamed_is_caught_and_the_run_stopped(tmp_path: Path) -> None:
    file, data, out = tmp_path / "mine.py", tmp_path / "prompts.jsonl", tmp_path / "run"
    file.write_text(MINE)
    lab.write_prompts(data, "train", 64)
    settings = {
        "monitor.judge": "[hidden_judge]", "record.evaluate_every": 3, "update.steps": 20,
        "data.validation_share": 0.25,
        "rollouts.group_size": 4, "rollouts.prompts_per_step": 12, "rollouts.max_new_tokens": 48,
        "update.learning_rate": 3e-3,
    }  # fmt: skip
    arguments = [sys.executable, "-m", "truing.cli", "train", "grpo", "--model", lab.base_path(), "--data", data]
    arguments += ["--out", out, "--use", file, "--reward", "words"]
    for key, value in settings.items():
        arguments += ["--set", f"{key}={value}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*map(str, arguments)], env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error: ") == 1
    message = done.stderr[done.stderr.index("error: ") :]
    assert "stopped by the monitor, reward_hacking: from step 0 to" in message
    assert "harder to game" in message
    assert "--resume --set monitor.actions.reward_hacking=warn" in message
    record = read_record(out)
    first, last = record[0], record[-1]
    assert (first["step"], last["step"] < 20) == (0, True)
    assert last["eval/reward"] > first["eval/reward"] + 5
    assert last["eval/judge"] < first["eval/judge"] - 1
    found = [json.loads(line) for line in (out / "findings.jsonl").read_text().splitlines()]
    assert [row["action"] for row in found if row["condition"] == "reward_hacking"] == ["stop"]
    assert (out / "checkpoints" / f"step-{int(last['step']):08d}").is_dir(), "it may be gone on with"
    assert not (out / "result.json").exists()
