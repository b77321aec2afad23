"""`truing generate`."""

from __future__ import annotations

from typing import Annotated

import typer

from truing.cli import options
from truing.cli.imports import importing
from truing.cli.options import JsonLines, MaxNewTokens, Model, Prompts, Rewards, Seed, SkipBad, Use
from truing.errors import UserError


def generate(
    model: Model,
    data: Prompts,
    out: JsonLines,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Responses per prompt.")] = 1,
    best_of: Annotated[
        int | None, typer.Option("--best-of", min=1, help="Sample so many, write the one with the highest reward.")
    ] = None,
    keep_all: Annotated[bool, typer.Option("--all", help="With --best-of: write the others too, best first.")] = False,
    reward: Rewards = None,
    temperature: Annotated[float, typer.Option("--temperature", min=0.0, help="0 = greedy.")] = 1.0,
    top_p: Annotated[float, typer.Option("--top-p", min=0.0, max=1.0)] = 1.0,
    max_new_tokens: MaxNewTokens = 256,
    template: Annotated[str, typer.Option("--template", help="Chat template.")] = "auto",
    seed: Seed = 0,
    use: Use = None,
    skip_bad: SkipBad = False,
) -> None:
    """Sample responses; with rewards, score them and put the best first, or write the best alone (best-of-N)."""
    if best_of and not reward:
        raise UserError("--best-of, and nothing says which is best", remedy="Name a --reward.")
    if best_of and samples != 1:
        raise UserError(
            f"--best-of {best_of} and --samples {samples}", remedy="--best-of says how many: leave one out."
        )
    if keep_all and not best_of:
        raise UserError("--all without --best-of", remedy="Without --best-of every sample is written anyway.")
    with importing():
        from truing.generate import generate as run
        from truing.rollouts.sampling import Sampling

        options.use(use)
    done = run(
        model,
        data,
        out,
        num_samples=best_of or samples,
        sampling=Sampling(temperature=temperature, top_p=top_p, max_new_tokens=max_new_tokens, seed=seed),
        rewards=options.named_rewards(reward),
        only_best=best_of is not None and not keep_all,
        template=template,
        skip_bad=skip_bad,
    )
    print(f"{done.text(best_of=best_of is not None)}\nresponses: {out}")
