"""`truing evaluate ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from truing.cli import options
from truing.cli.imports import importing
from truing.cli.options import Format, MaxNewTokens, Model, Prompts, Rewards, Seed, SkipBad, Use
from truing.errors import UserError

app = typer.Typer(help="Numbers with intervals.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def best_of_n(
    model: Model,
    data: Prompts,
    reward: Rewards = None,
    value: Annotated[
        list[str] | None, typer.Option("--value", help="A reward that does not choose, to judge what was chosen.")
    ] = None,
    largest: Annotated[int, typer.Option("--n", min=1, help="Largest N; 1, 2, 4, ... up to it are measured.")] = 16,
    samples: Annotated[
        int | None, typer.Option("--samples", min=1, help="Samples for each prompt, at least N; N by default.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="JSON file to write.")] = Path("best_of_n.json"),
    temperature: Annotated[float, typer.Option("--temperature", min=0.0)] = 1.0,
    max_new_tokens: MaxNewTokens = 256,
    seed: Seed = 0,
    use: Use = None,
    skip_bad: SkipBad = False,
) -> None:
    """What the best of N is worth, and how far from the model it can be, for N = 1, 2, 4, ..."""
    if not reward:
        raise UserError("nothing says which is best", where="evaluate best-of-n", remedy="Name a --reward.")
    with importing():
        from truing.evaluate.sampled_best_of_n import measure
        from truing.rollouts.sampling import Sampling

        options.use(use)
    report = measure(
        model,
        data,
        out,
        options.named_rewards(reward),
        values=options.named_rewards(value),
        largest=largest,
        samples=samples,
        sampling=Sampling(temperature=temperature, max_new_tokens=max_new_tokens, seed=seed),
        skip_bad=skip_bad,
    )
    print(report)
    print(f"report: {out}")


@app.command()
def reward(
    model: Annotated[str, typer.Option("--model", help="Folder or hub name of a reward model.")],
    data: Annotated[str, typer.Option("--data", help="File of comparisons that it was not trained on.")],
    out: Annotated[Path, typer.Option("--out", help="JSON file to write.")] = Path("reward_evaluation.json"),
    category: Annotated[str, typer.Option("--category", help="Column that says what kind a row is of.")] = "category",
    format: Format = None,
) -> None:
    """Compare a reward model with people's preferences: accuracy, calibration, length."""
    with importing():
        from truing.evaluate.reward_model import evaluate_reward

    print(evaluate_reward(model, data, out, format=format, category=category).text())
    print(f"report: {out}")
