"""The embedded world: everyday requests, answers of every quality, a hidden judge, five annotators, a base model.

For demonstration, tests and benchmarks, where no model or data can be downloaded. Importing it imports no torch.

    requests -> demonstrations -> (a trained policy answers) -> rank by annotators -> ... -> utility by the judge
"""

from __future__ import annotations

from pathlib import Path

from truing.lab.annotators import ANNOTATORS, rank
from truing.lab.arithmetic import math_reward, word_problems
from truing.lab.judge import Verdict, utility, verdict
from truing.lab.request import Request
from truing.lab.rows import (
    demonstrations,
    problems,
    prompts,
    request_of,
    write_demonstrations,
    write_problems,
    write_prompts,
    write_solutions,
)
from truing.lab.wordings import SPLITS, requests

__all__ = [
    "ANNOTATORS",
    "SPLITS",
    "Request",
    "Verdict",
    "base_path",
    "demonstrations",
    "math_reward",
    "problems",
    "prompts",
    "rank",
    "request_of",
    "requests",
    "utility",
    "verdict",
    "word_problems",
    "write_demonstrations",
    "write_problems",
    "write_prompts",
    "write_solutions",
]


def base_path() -> Path:
    """The folder of the shipped base model, in Hugging Face's layout; load it as float32."""
    return Path(__file__).parent / "base"
