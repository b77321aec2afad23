"""One clear message, the right exit code, no traceback, nothing imported that nobody asked for."""

from __future__ import annotations

import os
import subprocess
import sys


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


def test_an_error_from_the_shell_is_one_message_and_an_exit_code() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "truing.cli", "recipes", "grop"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert run.stderr.startswith("error: there is no recipe `grop`\n  Did you mean `grpo`?")
    assert "Traceback" not in run.stderr
