"""Rounds: sample with the newest model, score, select, train, evaluate; then again.

`select: best_worst` with `dpo` is iterative DPO (Llama 3, arXiv:2407.21783, sec. 4.1; arXiv:2405.07863, algorithm 2;
arXiv:2404.19733), `select: best` with `sft` is rejection sampling (RAFT, arXiv:2304.06767; Llama 2, arXiv:2307.09288,
sec. 3.2.3). The run folder:

    recipe.yaml              every setting
    round-0/evaluation.json  the model that the rounds began with, on the held-out prompts
    round-1/groups.jsonl     every sample with its rewards, and where it came from
            train.jsonl      what was selected
            run/             the training run, as `truing train` makes one
            evaluation.json  the round's model on the held-out prompts
    round-2/ ...
    record.jsonl             a line for each evaluation
    model/                   of the last round that was surely better, by held-out reward, than the best before it
    result.json              last of all: the run is done

Each file appears when it is whole and is not made again: a run that was cut anywhere goes on from there, and ends as
it would have.
"""

from __future__ import annotations

import gc
import json
import math
import os
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from truing import feedback, registry
from truing import recipe as recipes
from truing.bind import Bound, bind
from truing.checks import check as check_run
from truing.errors import DataError, RecipeError
from truing.experience.offline import FEEDBACK, shuffled
from truing.feedback import formats
from truing.group import Group, Labels, Ranking, Scores
from truing.models.loading import load_causal_lm, load_tokenizer
from truing.models.saving import save_model
from truing.recipe import Recipe
from truing.record import RECORD, json_safe, replace_text
from truing.rewards.score import check_columns
from truing.rollouts.sampling import Sampling
from truing.rounds.selection import selected
from truing.rounds.verdict import Evaluation, Verdict, decide
from truing.sampler import Answered, Sampler, logprobs
from truing.settings import RolloutSettings, RoundsSettings
from truing.wire import read_groups

if TYPE_CHECKING:
    from truing.train import Step

__all__ = ["check", "of_round", "rounds"]

_GIVEN: dict[str, set[type]] = {"best_worst": {Ranking}, "best": set(), "all": {Ranking, Scores, Labels}}
"""What a selection says of responses."""


def check(recipe: Recipe) -> list[Bound]:
    """The rewards; every name is looked up and every setting checked before anything large is loaded."""
    settings = recipe.rounds
    assert settings is not None
    rewards = [bind(registry.reward, named) for named in recipe.rewards]
    where = f"recipe `{recipe.name}`"
    if not rewards:
        raise RecipeError(
            "it samples responses, and nothing says which are good",
            where=where,
            remedy="Name a reward: --reward runs/reward (a reward model), --reward NAME, or `rewards:` in the recipe.",
        )
    loss, _, _ = check_run(of_round(recipe, recipe.model.path, recipe.model.path, recipe.data.train, recipe.seed))
    given = _GIVEN[settings.select]
    if settings.select == "all" and settings.at_least is None:
        given = given - {Labels}
    for stream in sorted(loss.reads & FEEDBACK.keys()):
        if FEEDBACK[stream][0] not in given:
            raise RecipeError(
                f"an objective reads `{stream}`, which rounds.select = {settings.select} does not give",
                where=where,
                remedy="best_worst gives pairs, best demonstrations, all rankings and scores (thumbs with at_least).",
            )
    return rewards


def of_round(recipe: Recipe, start: str | None, first: str | None, data: str | None, seed: int) -> Recipe:
    """The recipe that one round is trained with: from the model `start`, on a file of what was selected."""
    assert recipe.rounds is not None
    raw = recipe.model_dump(exclude={"rounds", "rollouts", "rewards", "combination"})
    # Adapters that are off are the model that they began on; a model of its own would cost memory.
    apart = recipe.rounds.refer_to == "first" and start != first
    raw["model"] |= {"path": start, "reference": first if apart else None}
    raw["data"] |= {"train": data, "validation": None, "validation_share": 0.0, "format": None, "skip_bad": False}
    return recipes.parse(raw | {"seed": seed})


def rounds(
    recipe: Recipe,
    out: Path,
    *,
    watch: Callable[[Step], None] = lambda step: None,
    hear: Callable[[str], None] = lambda note: None,
) -> tuple[int, dict[str, float], list[str]]:
    """Run a recipe with `rounds` into a folder that is ours, from wherever an earlier run left off.

    Steps trained, the held-out numbers of the model that was kept, and what happened in words.
    """
    job = _Job(recipe, out, watch, hear)
    out.mkdir(parents=True, exist_ok=True)
    replace_text(out / "recipe.yaml", recipes.dump(recipe))
    verdict = job.run()
    _publish(job, verdict)
    best = job.evaluations[verdict.best]
    metrics = {name: value for name, value in best.metrics().items() if name != "step"} | {"round": float(verdict.best)}
    return job.steps, metrics, job.notes


class _Job:
    def __init__(self, recipe: Recipe, out: Path, watch: Callable[[Step], None], hear: Callable[[str], None]) -> None:
        assert recipe.rounds is not None
        assert recipe.rollouts is not None
        self.rewards = check(recipe)
        assert recipe.model.path is not None
        self.recipe, self.out, self._watch, self._hear = recipe, out, watch, hear
        self.settings: RoundsSettings = recipe.rounds
        self.rollouts: RolloutSettings = recipe.rollouts
        self.first = recipe.model.path
        self.notes: list[str] = []
        self.evaluations: list[Evaluation] = []
        self.steps = 0
        notes: list[str] = []
        train, held = read_groups(recipe, notes)
        self._prompts, self._held = ([replace(g, responses=(), feedback=()) for _, g in part] for part in (train, held))
        for note in notes:
            self._note(note)
        for bound in self.rewards:
            check_columns(bound.name, bound.entry.function, self._prompts)
        if len(self._held) < 2:
            raise DataError(
                f"{len(self._held)} held-out prompts, and nobody can judge a round on fewer than two",
                where=recipe.data.validation or recipe.data.train,
                remedy="Give more prompts, or raise data.validation_share.",
            )

    def run(self) -> Verdict:
        """Every round up to the last; what is there is read."""
        self._evaluate(0)
        verdict = decide(self.evaluations, self.settings)
        for number in range(1, self.settings.number + 1):
            if verdict.stop:
                break
            self._sample(number)
            self._select(number)
            self._train(number)
            self._evaluate(number)
            verdict = decide(self.evaluations, self.settings)
        self._note(verdict.stop or f"all {self.settings.number} rounds are done")
        self._note(verdict.kept)
        return verdict

    def model(self, number: int) -> str:
        """The model after round `number`; 0: the one that the rounds began with."""
        return str(self._folder(number) / "run" / "model") if number else self.first

    def _folder(self, number: int) -> Path:
        return self.out / f"round-{number}"

    def _note(self, text: str) -> None:
        self.notes.append(text)
        self._hear(text)

    def _seed(self, what: str) -> int:
        return random.Random(f"{what}/{self.recipe.seed}").getrandbits(31)

    def _sampler(self, number: int) -> Sampler:
        data = self.recipe.data
        return Sampler(
            self.model(number),
            self.rewards,
            template=data.template,
            max_prompt_tokens=data.max_prompt_tokens,
            truncation=data.truncation,
            dtype=self.recipe.model.dtype,
            combination=self.recipe.combination,
            missing_end_penalty=self.rollouts.missing_end_penalty,
        )

    def _sampling(self, seed: int) -> Sampling:
        r = self.rollouts
        return Sampling(
            temperature=r.temperature, top_p=r.top_p, top_k=r.top_k, max_new_tokens=r.max_new_tokens, seed=seed
        )

    # ---- a round ---------------------------------------------------------------------------------------------------

    def _sample(self, number: int) -> None:
        """groups.jsonl, by and by: as many prompts at a time as `rollouts.prompts_per_step` says."""
        path = self._folder(number) / "groups.jsonl"
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        sampler = self._sampler(number - 1)
        groups = self._of_round(sampler.asked(self._prompts), number)
        self._hear(f"round {number}: {self.rollouts.group_size} samples each for {len(groups)} prompts")
        seed, size = self._seed(f"round/{number}/samples"), self.rollouts.prompts_per_step
        draft = path.with_name("groups.jsonl.part")
        done = _whole_lines(draft, size)
        with draft.open("a", encoding="utf-8", newline="\n") as file:
            for first in range(done, len(groups), size):
                made = sampler.answer(groups[first : first + size], self.rollouts.group_size, self._sampling(seed))
                for answered in made:
                    row = formats.get("group").write(self._with_origin(answered, number, seed))
                    file.write(json.dumps(row) + "\n")
                file.flush()
                os.fsync(file.fileno())
        draft.replace(path)
        del sampler
        gc.collect()  # the models that sampled and scored make room for training

    def _of_round(self, groups: Sequence[Group], number: int) -> list[Group]:
        """The prompts of a round: all, or the next ones of one shuffled pass after another."""
        if not groups:
            raise DataError("no prompt is left", remedy="Raise data.max_prompt_tokens, or give more prompts.")
        wanted = min(self.settings.prompts or len(groups), len(groups))
        first = (number - 1) * wanted
        seed = self._seed("prompts")
        orders = {n // len(groups): n for n in range(first, first + wanted)}
        passes = {each: shuffled(len(groups), seed, each) for each in orders}
        return [groups[passes[n // len(groups)][n % len(groups)]] for n in range(first, first + wanted)]

    def _with_origin(self, answered: Answered, number: int, seed: int) -> Group:
        r = self.rollouts
        origin = {
            "round": number,
            "model": self.model(number - 1),
            "rewards": [{named.name: named.settings, "weight": named.weight} for named in self.recipe.rewards],
            "temperature": r.temperature,
            "top_p": r.top_p,
            "top_k": r.top_k,
            "max_new_tokens": r.max_new_tokens,
            "seed": seed,
            "finished": [sample.finished for sample in answered.samples],
        }
        scored = answered.scored
        return replace(scored, columns={**scored.columns, "provenance": origin})

    def _select(self, number: int) -> None:
        path = self._folder(number) / "train.jsonl"
        if path.exists():
            return
        earlier = range(1, number) if self.settings.train_on == "every" else ()
        chosen: list[Group] = []
        for n in (*earlier, number):
            for group in feedback.read(self._folder(n) / "groups.jsonl", format="group"):
                columns = dict(group.columns)
                finished = columns.pop("provenance")["finished"]
                chosen += selected(replace(group, columns=columns), finished, self.settings)
        if not chosen:
            raise DataError(
                f"of the samples of round {number} none is worth training on",
                where=str(self._folder(number) / "groups.jsonl"),
                remedy="All are worth the same, were cut at the limit, or miss rounds.gap or rounds.at_least: "
                "`truing feedback stats` on this file shows their scores.",
            )
        feedback.write(chosen, path, "group")

    def _train(self, number: int) -> None:
        from truing.train import train  # which calls us for a recipe with rounds

        start = self.model(number - 1) if self.settings.start_from == "last" else self.first
        data = str(self._folder(number) / "train.jsonl")
        chosen = of_round(self.recipe, start, self.first, data, self._seed(f"round/{number}/train"))
        before, left = self.steps, self.settings.number - number + 1

        def watch(step: Step) -> None:
            # How long the rounds to come will be, nobody knows: as long as this one.
            self._watch(replace(step, number=before + step.number, total=before + left * step.total))

        self._hear(f"round {number}: training from {start}")
        run = self._folder(number) / "run"
        done = train(chosen, run, resume=True, watch=watch, tell=lambda found: self._hear(f"{found.action}: {found}"))
        self.steps += done.steps

    def _evaluate(self, number: int) -> None:
        """The model on the held-out prompts, always with the same seeds; and what became of the record."""
        path = self._folder(number) / "evaluation.json"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._hear(f"round {number}: evaluation on {len(self._held)} held-out prompts")
            found = self._measured(number)
            replace_text(path, json.dumps(found.data(), allow_nan=False) + "\n")
        # Read back, so that a run that was cut goes on from the same numbers to the last digit.
        self.evaluations.append(Evaluation.of(json.loads(path.read_text(encoding="utf-8"))))
        lines = [json.dumps(json_safe(each.metrics(self.evaluations[:i]))) for i, each in enumerate(self.evaluations)]
        replace_text(self.out / RECORD, "\n".join(lines) + "\n")
        self._hear(self.evaluations[-1].text(self.evaluations[:-1]))

    def _measured(self, number: int) -> Evaluation:
        sampler = self._sampler(number)
        groups = sampler.asked(self._held)
        size, sampling = self.rollouts.prompts_per_step, self._sampling(self._seed("evaluation"))
        answered: list[Answered] = []
        for first in range(0, len(groups), size):
            answered += sampler.answer(groups[first : first + size], self.settings.evaluation_samples, sampling)
        del sampler
        gc.collect()
        distances = [0.0] * len(groups)
        if number:
            dtype, temperature = self.recipe.model.dtype, self.rollouts.temperature
            theirs = logprobs(self.first, answered, temperature=temperature, dtype=dtype)
            ours = logprobs(self.model(number), answered, temperature=temperature, dtype=dtype)
            pairs = zip(ours, theirs, strict=True)
            distances = [sum(o - t for o, t in zip(a, b, strict=True)) / len(a) for a, b in pairs]
        if all(math.isnan(reward) for each in answered for reward in each.rewards):
            raise DataError(
                f"no reward speaks of any of the {len(groups)} held-out prompts",
                where=self.recipe.data.validation or self.recipe.data.train,
                remedy="A reward that returns None for all of them cannot judge a round: choose another.",
            )
        return Evaluation.measured(number, self.model(number), answered, distances)


def _whole_lines(path: Path, size: int) -> int:
    """Cut a file behind its last whole batch of `size` lines, and say how many lines are left."""
    if not path.exists():
        return 0
    lines = path.read_bytes().splitlines(keepends=True)
    whole = len(lines) - (bool(lines) and not lines[-1].endswith(b"\n"))
    kept = whole // size * size
    with path.open("r+b") as file:
        file.truncate(sum(map(len, lines[:kept])))
    return kept


def _publish(job: _Job, verdict: Verdict) -> None:
    """The best model as `model/`."""
    place = job.out / "model"
    if verdict.best == 0:
        about = {"recipe": job.recipe.name, "round": 0}
        first: Any = load_causal_lm(job.first, dtype=job.recipe.model.dtype)
        save_model(first, load_tokenizer(job.first), place, metadata=about)
        return
    draft = place.with_name(f".{place.name}.saving")
    for old in (draft, place):
        shutil.rmtree(old, ignore_errors=True)  # of a run that was cut here: a finished one does not come by
    shutil.copytree(job.model(verdict.best), draft, copy_function=_link)
    draft.rename(place)


def _link(source: str, target: str) -> None:
    """The same bytes under a second name: model folders are replaced whole, never written into."""
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)
