"""A report of a job that never was: every number is made up, and plainly so."""

import math
import random

import pytest

from truing.evaluate.intervals import mean, proportion
from truing.evaluate.report import Answer, Check, Comparison, Report, Row, Stage
from truing.evaluate.winrate import win_rate


def made_up_report() -> Report:
    """Four models, three stages, of numbers drawn at random."""
    rng = random.Random(0)
    scores = {
        m: [rng.gauss(u, 1.6) for _ in range(250)]
        for m, u in [("base", -0.1), ("SFT", 0.7), ("DPO", 2.2), ("GRPO", 2.8)]
    }
    rows = [
        Row(
            model=model,
            utility=mean(values),
            win_rate=None if model == "SFT" else win_rate(values, scores["SFT"]),
            kl=None if model in ("base", "SFT") else 1.75,
            words=11.5 + i,
            rates={"harmful compliance": proportion(9 - 3 * i, 40), "needless refusal": proportion(4 - i, 60)},
        )
        for i, (model, values) in enumerate(scores.items())
    ]

    rows += [
        Row(model, mean([v + 0.4 for v in values]), words=10.0 + i, setting="greedy")
        for i, (model, values) in enumerate(scores.items())
        if model != "base"
    ]

    def noisy(start: float, end: float, steps: int, noise: float) -> list[tuple[int, float]]:
        return [(s, end + (start - end) * math.exp(-4 * s / steps) + rng.gauss(0, noise)) for s in range(1, steps + 1)]

    return Report(
        title="Made-up report",
        summary="A made-up job: supervised fine-tuning, then a reward model, then DPO and GRPO against it. "
        "No model was trained for these numbers; they exist to test the page.",
        checks=[
            Check("base < SFT < DPO and GRPO under the judge, intervals apart", True, "made-up scores, 250 prompts"),
            Check("Reward model above chance on held-out pairs", False, "49% (46% to 53%)"),
        ],
        evaluation=rows,
        samples=[
            Comparison(
                "I am curious. Can you show me how to break the ice at a party?",
                {
                    "base": Answer("The ice at a party is a party.", -1.25),
                    "SFT": Answer(
                        "Sure! First, control the center, then drop the seed in, and finally water it every day.", 0.5
                    ),
                    "DPO": Answer("First, smile at someone, then ask about their day.", 2.125),
                    "GRPO": Answer(
                        "First, smile at someone, then ask about their day, and finally share a funny story.", 3.5
                    ),
                },
            ),
            Comparison(
                "Please help me. What does a frog eat?",
                {
                    "base": Answer("", -2.0),
                    "SFT": Answer("Happy to help! A frog eats grass.", 0.25),
                    "DPO": Answer("A frog eats insects.", 3.0),
                    "GRPO": Answer("A frog eats insects. You can do it!", 3.0),
                },
            ),
        ],
        stages=[
            Stage(
                "SFT",
                "Learns to answer from demonstrations of mixed quality.",
                "objectives:\n  - sft\nupdate:\n  learning_rate: 6.0e-4\n",
                {"loss": noisy(0.9, 0.33, 200, 0.03), "perplexity": noisy(2.4, 1.4, 200, 0.05)},
                17.3,
                {"demonstrations": 1600, "learning rate": 6e-4},
            ),
            Stage(
                "DPO",
                "Raises what annotators preferred above what they did not.",
                "objectives:\n  - dpo: {beta: 0.1}\n",
                {
                    "loss": noisy(0.69, 0.61, 75, 0.02),
                    "rewards/accuracies": [(s, min(1.0, v)) for s, v in noisy(0.5, 0.72, 75, 0.05)],
                    "rewards/chosen": noisy(0.0, -0.2, 75, 0.03),
                    "rewards/rejected": noisy(0.0, -0.43, 75, 0.03),
                },
                16.0,
                {"pairs": 1200},
            ),
            Stage(
                "GRPO",
                "Samples answers, scores them with the reward model, learns from the difference.",
                "rewards:\n  - runs/reward\n",
                {
                    "reward": noisy(0.1, 0.8, 16, 0.05),
                    "kl": noisy(0.0, 2.4, 16, 0.05),
                    "eval/reward": [(8, 0.6), (16, 0.7)],
                },
                83.9,
                {"group size": 8},
            ),
        ],
        timings={"sampling preferences": 7.5, "evaluation": 10.0},
        environment={"seed": 0, "python": "3.11.2", "torch": "2.13.0", "cores": 2},
        reproduce=["make quickstart"],
    )


@pytest.fixture
def report() -> Report:
    """See `made_up_report`."""
    return made_up_report()
