"""The stages, in order. Each writes its folder or file when it is done and is not done again: a run that was cut goes
on where it was."""

from __future__ import annotations

import json
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from truing import feedback, lab, recipe
from truing.errors import RecipeError
from truing.group import Group, Response
from truing.progress import Progress
from truing.quickstart.answers import MAX_NEW_TOKENS, Speaker, kl
from truing.quickstart.page import page
from truing.record import replace_text
from truing.train import train

__all__ = ["Job", "Settings", "claim", "quickstart"]

# What differs from the shipped recipes, which are set for models of billions of parameters: one of 0.8 million wants
# learning rates about a thousand times as large. Chosen on the world's `dev` prompts.
SFT = {"learning_rate": 6e-4, "batch_size": 16, "epochs": 2, "weight_decay": 0.01}
REWARD = {"learning_rate": 1e-3, "batch_size": 12, "bradley_terry.centering": 0.005, "warmup": 0.1}
DPO = {"learning_rate": 3e-4, "batch_size": 8, "warmup": 0.1}
GRPO = {
    "learning_rate": 5e-4,
    "warmup": 0.1,
    "reduction": "token",
    "max_new_tokens": MAX_NEW_TOKENS,
    "missing_end_penalty": 1.0,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """How much of everything. The defaults finish in under five minutes on two cores."""

    seed: int = 0
    demonstrations: int = 1600
    preference_prompts: int = 1200
    samples_per_prompt: int = 4
    grpo_steps: int = 24
    test_prompts: int = 500


def quickstart(out: Path, settings: Settings | None = None, *, resume: bool = False) -> Path:
    """Run everything into `out`; the path of `report.html`.

    `RecipeError` for a folder that holds a run with other settings, or any run unless `resume`.
    """
    settings = settings or Settings()
    # At this size threads wait for one another longer than they work.
    torch.set_num_threads(1)
    claim(out, settings, resume)
    job = Job(out, settings)
    data = job.data()
    sft = job.train("SFT", "sft", lab.base_path(), data / "demonstrations.jsonl", SFT)
    preferences = job.preferences(sft)
    reward = job.train("reward model", "reward", sft, preferences, REWARD)
    job.train("DPO", "dpo", sft, preferences, DPO)
    judged = {"rewards": [{"model": {"path": str(reward)}}], "update.steps": settings.grpo_steps}
    job.train("GRPO", "grpo", sft, data / "prompts.jsonl", GRPO | judged)
    job.evaluate({"base": lab.base_path(), "SFT": sft, "DPO": out / "dpo/model", "GRPO": out / "grpo/model"})
    return page(out)


class Job:
    """The stages; how long each took is kept in `seconds.json`."""

    def __init__(self, out: Path, settings: Settings) -> None:
        self.out, self.settings = out, settings
        file = out / "seconds.json"
        self.seconds: dict[str, float] = json.loads(file.read_text()) if file.exists() else {}

    def data(self) -> Path:
        """Demonstrations and prompts of the embedded world."""
        folder = self.out / "data"
        folder.mkdir(exist_ok=True)
        if not (folder / "demonstrations.jsonl").exists():
            lab.write_demonstrations(
                folder / "demonstrations.jsonl", self.settings.demonstrations, seed=self.settings.seed
            )
        if not (folder / "prompts.jsonl").exists():
            lab.write_prompts(folder / "prompts.jsonl", "train", seed=self.settings.seed)
        return folder

    def train(self, name: str, recipe_name: str, model: Path, data: Path, overrides: dict[str, Any]) -> Path:
        """One training stage; the folder of its model."""
        where = {
            "model.path": str(model),
            "data.train": str(data),
            "seed": self.settings.seed,
            "save_every": 25,
            "evaluate_every": 50,
        }
        chosen = recipe.load(recipe_name, where | overrides)
        folder = self.out / recipe_name
        if not (folder / "result.json").exists():
            began = time.perf_counter()
            with Progress(name) as progress:
                tell = progress.note
                train(chosen, folder, resume=True, watch=progress.step, tell=lambda found: tell(f"warning: {found}"))
            self._took(name, began)
        return folder / "model"

    def preferences(self, sft: Path) -> Path:
        """Samples of the SFT model, each group ranked by one of five annotators."""
        path = self.out / "data" / "preferences.jsonl"
        if path.exists():
            return path
        began = time.perf_counter()
        groups = lab.prompts("train", self.settings.preference_prompts, seed=self.settings.seed + 1)
        speaker = Speaker(sft)
        with Progress("preferences", len(groups), unit="prompt") as progress:
            samples = speaker.answer(
                groups,
                self.settings.samples_per_prompt,
                temperature=1.0,
                seed=self.settings.seed,
                watch=progress.update,
            )
        rng = random.Random(f"annotators/{self.settings.seed}")
        ranked = []
        for group, row in zip(groups, samples, strict=True):
            texts = [(speaker.text(s), s.finished) for s in row]
            annotator = rng.randrange(len(lab.ANNOTATORS))
            ranking = lab.rank(lab.request_of(group), texts, annotator, rng)
            responses = tuple(Response.of(text) for text, _ in texts)
            ranked.append(Group(group.prompt, responses, (ranking,), group.columns))
        feedback.write(ranked, path, "ranking")
        self._took("preferences", began)
        return path

    def evaluate(self, models: dict[str, Path]) -> None:
        """Every model on prompts of `test` and of `new` items, sampled and greedy, for the hidden judge to read."""
        path = self.out / "answers.json"
        if path.exists():
            return
        began = time.perf_counter()
        splits = {"test": lab.prompts("test", self.settings.test_prompts, seed=0), "new": lab.prompts("new", seed=0)}
        said: dict[str, Any] = {split: [lab.request_of(g).columns | {"text": g.prompt.text} for g in groups]
                                for split, groups in splits.items()}  # fmt: skip
        sft = Speaker(models["SFT"])
        total = len(models) * 2 * sum(map(len, splits.values()))
        done = 0
        with Progress("evaluation", total, unit="prompt") as progress:
            for name, folder in models.items():
                speaker = Speaker(folder)
                for split, groups in splits.items():
                    for how, temperature in (("sampled", 1.0), ("greedy", 0.0)):
                        rows = [row[0] for row in speaker.answer(groups, 1, temperature=temperature, seed=7)]
                        said[f"{name}/{split}/{how}"] = [[speaker.text(s), s.finished] for s in rows]
                        if split == "test" and how == "sampled":
                            said[f"{name}/kl"] = kl(speaker, sft, groups, rows)
                        done += len(groups)
                        progress.update(done)
        replace_text(path, json.dumps(said))
        self._took("evaluation", began)

    def _took(self, name: str, began: float) -> None:
        # Of the process that finished the stage: what a killed one spent on it is not known.
        self.seconds[name] = time.perf_counter() - began
        replace_text(self.out / "seconds.json", json.dumps(self.seconds))


def claim(out: Path, settings: Settings, resume: bool) -> None:
    file = out / "quickstart.json"
    if file.exists():
        held = Settings(**json.loads(file.read_text()))
        if not resume or held != settings:
            found = "there is a quickstart in this folder" if held == settings else f"a quickstart with {held} is here"
            raise RecipeError(found, where=str(out), remedy="Continue it with --resume, or choose another --out.")
    out.mkdir(parents=True, exist_ok=True)
    replace_text(file, json.dumps(asdict(settings)))
