"""Experience that the policy makes itself: prompts -> samples -> rewards -> what the models say of them -> advantages.

A batch depends on the run's seed, the step, the policy as it is, and `OnlineState`: what else is carried from one step
to the next, and saved with the run.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from truing.batch import Batch, data_streams
from truing.bind import Bound
from truing.chat import Chat
from truing.errors import DataError
from truing.evaluate.reasoning import Solved, reasoning
from truing.experience.co_reward import CoReward
from truing.experience.drawn import Drawn
from truing.experience.log import completions, entropy, of_signs, of_values, some_texts, told
from truing.experience.offline import shuffled
from truing.experience.penalty import adapted, penalised
from truing.experience.rivals import faced, own
from truing.experience.verdicts import verdicts
from truing.group import Group
from truing.recipe import CombinationSettings, RewardKL, RolloutSettings, labels_of
from truing.rewards.score import Function, Scored, score
from truing.rewards.vote import Vote, voter
from truing.rollouts.sampling import Sample, Sampling
from truing.tree import Branch, Tree, pack

__all__ = ["Assess", "Online", "OnlineState", "Rollouts"]

Rows = list[list[list[float]]]
"""By tree, branch and token."""

Assess = Callable[[Sequence[Tree], Iterable[str]], Mapping[str, Rows]]
"""What the models say of trees, without gradients: the streams of these names (`Policy.assess`)."""


class Rollouts(Protocol):
    """Whoever can sample from the policy: in process, or a server."""

    def generate(self, prompts: Sequence[list[int]], num_samples: int, sampling: Sampling) -> list[list[Sample]]:
        """`num_samples` samples for each prompt."""


@dataclass
class OnlineState:
    """What one step leaves to the next."""

    kl_coefficient: float = 0.0
    scales: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Mean and spread of each reward on samples of the policy before the first step."""


@dataclass
class Online:
    """Batches of samples of the policy.

    `needs` names the streams that somebody reads; `several_updates` says that the policy changes before the batch has
    been used up, so that what it said of its samples has to be written down first, unless the first update is over the
    `whole` batch and can do it by the way.
    """

    prompts: list[Group]
    chat: Chat
    rollouts: Rollouts
    rewards: Sequence[Function]
    advantage: Bound | None
    settings: RolloutSettings
    seed: int
    num_steps: int
    """The number of batches. Each prompt may come back in a later epoch."""
    combination: CombinationSettings = field(default_factory=CombinationSettings)
    """How several rewards become one number."""
    reward_kl: RewardKL | None = None
    needs: frozenset[str] = frozenset()
    several_updates: bool = False
    whole: bool = False
    assess: Assess | None = None
    rivals: Rollouts | None = None
    """Who else answers the prompts, where `settings.rivals` says that somebody does."""
    co_reward: CoReward | None = None
    """Who teaches the reward models after each batch, if anybody does."""
    carried: OnlineState = field(default_factory=OnlineState)
    judge: Sequence[Function] = ()
    """Rewards that evaluations are scored by, and that are never trained on."""

    def __post_init__(self) -> None:
        encoded = [(group, self.chat.prompt(group.prompt)) for group in self.prompts]
        self._encoded = [(group, tokens) for group, tokens in encoded if tokens is not None]
        if not self._encoded:
            raise DataError("no prompt is left", remedy="Raise data.max_prompt_tokens, or give more prompts.")
        if self.reward_kl and not self.carried.kl_coefficient:
            self.carried.kl_coefficient = self.reward_kl.coefficient

    @property
    def steps(self) -> int:
        return self.num_steps

    def state(self) -> dict[str, Any]:
        """What a checkpoint has to hold besides weights, as plain data and `tensors`."""
        if self.co_reward is None:
            return asdict(self.carried)
        return {
            **asdict(self.carried),
            "co_reward": self.co_reward.state(),
            "tensors": self.co_reward.tensors(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put back what `state` gave."""
        self.carried.kl_coefficient = float(state["kl_coefficient"])
        self.carried.scales = {name: (float(mean), float(std)) for name, (mean, std) in state["scales"].items()}
        if self.co_reward is not None:
            self.co_reward.restore(state["co_reward"], state["tensors"])

    def evaluate(self) -> dict[str, float]:
        """Rewards and lengths of samples for all prompts that a step would take; nothing is learnt or carried. The
        same prompts and seeds every time."""
        drawn, versus = self._faced(self._draw(self._indices(0), "0"))
        told = {**self._judged(drawn), **self._reasoned(drawn)}
        return {**drawn.scored.metrics(), **completions(drawn.samples), **versus, **told}

    @property
    def verifies(self) -> bool:
        """Whether one of the rewards says which responses are right."""
        return any(voter(function) is not None for _, _, function in self.rewards)

    def _reasoned(self, drawn: Drawn) -> dict[str, float]:
        """Accuracy, pass@k, majority@k (`evaluate.reasoning`) by the first reward that says what is right, and
        `accuracy/greedy`, of the likeliest response to each prompt."""
        labels = labels_of(name for name, _, _ in self.rewards)
        votes = ((label, voter(function)) for label, (_, _, function) in zip(labels, self.rewards, strict=True))
        label, vote = next(((label, vote) for label, vote in votes if vote is not None), ("", None))
        if vote is None:
            return {}
        likeliest = self._likeliest(drawn)
        greedy = [r for (r,) in likeliest.scored.parts[label] if not math.isnan(r)]
        found = reasoning(_solved(drawn, label, vote))
        return found | ({"accuracy/greedy": statistics.fmean(greedy)} if greedy else {})

    def _likeliest(self, drawn: Drawn) -> Drawn:
        """The likeliest response to each of the same prompts, rewarded."""
        greedy = replace(self._sampling("greedy"), temperature=0.0, top_p=1.0, top_k=0)
        prompts = list(zip(drawn.groups, drawn.prompts, strict=True))
        return self._rewarded(prompts, self.rollouts.generate(drawn.prompts, 1, greedy))

    def _judged(self, drawn: Drawn) -> dict[str, float]:
        """`judge`, the mean of what the judge says over the prompts that it speaks of, and its standard error."""
        if not self.judge:
            return {}
        samples, texts = own(drawn.samples, drawn.texts)
        said = score(self.judge, drawn.groups, drawn.prompts, samples, texts)
        known = [[r for r in row if not math.isnan(r)] for row in said.totals]
        means = [statistics.fmean(row) for row in known if row]
        if len(means) < 2:
            raise DataError(
                f"it speaks of {len(means)} held-out prompts",
                where="monitor.judge",
                remedy="Hold out more (data.validation, data.validation_share), or raise rollouts.prompts_per_step.",
            )
        error = statistics.stdev(means) / math.sqrt(len(means))
        parts = {f"judge/{name}/mean": said.metrics()[f"rewards/{name}/mean"] for name in said.parts}
        return {"judge": statistics.fmean(means), "judge/std_error": error, **parts}

    def batch(self, step: int) -> Batch:
        if self.combination.calibrate and not self.carried.scales:
            self.carried.scales = self._calibrated()
        drawn = self._draw(self._indices(step), str(step))
        more = told(self.rewards)
        if self.settings.refill:
            drawn, numbers = self._refilled(drawn, step)
            more |= numbers
        drawn, versus = self._faced(drawn)
        trees = [
            Tree(tokens, [self._branch(s, reward) for s, reward in zip(row, rewards, strict=True)])
            for tokens, row, rewards in zip(drawn.prompts, drawn.samples, drawn.scored.totals, strict=True)
        ]
        for tree, rewards in zip(trees, drawn.scored.totals, strict=True):
            tree.feedback.update(verdicts(rewards, self.needs, pairs=self.settings.pairs))
        for tree, row in zip(trees, drawn.samples, strict=True):
            tree.feedback["rivals"] = [s.rival for s in row]
        more |= self._assessed(trees, drawn)
        if self.co_reward is not None:  # what the models learn now counts from the next batch on
            more |= self.co_reward.learn(step, drawn.groups, drawn.prompts, drawn.samples, drawn.texts)
        metrics = {**drawn.scored.metrics(), **completions(drawn.samples), **of_signs(drawn), **more, **versus}
        return Batch(trees, policy_version=step, metrics=metrics, samples=some_texts(drawn))

    # ---- drawing ---------------------------------------------------------------------------------------------------

    def _indices(self, step: int) -> list[int]:
        """Prompts in order of one shuffled epoch after another."""
        size, wanted = len(self._encoded), self.settings.prompts_per_step
        first = step * wanted
        epochs = {n // size for n in range(first, first + wanted)}
        orders: Mapping[int, list[int]] = {epoch: shuffled(size, self.seed, epoch) for epoch in epochs}
        return [orders[n // size][n % size] for n in range(first, first + wanted)]

    def _sampling(self, key: str) -> Sampling:
        return Sampling(
            temperature=self.settings.temperature,
            top_p=self.settings.top_p,
            top_k=self.settings.top_k,
            max_new_tokens=self.settings.max_new_tokens,
            stop=self.chat.stop_strings,
            seed=random.Random(f"samples/{self.seed}/{key}").getrandbits(62),
        )

    def _draw(self, indices: Sequence[int], key: str) -> Drawn:
        """Samples of the policy for these prompts, rewarded. The key decides the seed."""
        prompts = [self._encoded[i] for i in indices]
        samples = self.rollouts.generate([t for _, t in prompts], self.settings.group_size, self._sampling(key))
        if self.settings.rivals is not None:
            assert self.rivals is not None, "rollouts.rivals: the run is wired with somebody who answers"
            # With the policy's seed the reference, which it begins as, would say the same.
            sampling, number = self._sampling(f"{key}/rivals"), self.settings.rivals.samples
            theirs = self.rivals.generate([t for _, t in prompts], number, sampling)
            samples = [[*ours, *others] for ours, others in zip(samples, theirs, strict=True)]
        return self._rewarded(prompts, samples)

    def _faced(self, drawn: Drawn) -> tuple[Drawn, dict[str, float]]:
        """The rewards as the rivals make them, and numbers about the two sides."""
        if self.settings.rivals is None:
            return drawn, {}
        scored, metrics = faced(drawn.scored, drawn.samples, self.settings.rivals)
        return replace(drawn, scored=scored), metrics

    def _rewarded(self, prompts: Sequence[tuple[Group, list[int]]], samples: list[list[Sample]]) -> Drawn:
        groups, tokens = [group for group, _ in prompts], [t for _, t in prompts]
        texts = [[self.chat.decode(s.tokens) for s in row] for row in samples]
        scored = score(
            self.rewards,
            groups,
            tokens,
            samples,
            texts,
            missing_end_penalty=self.settings.missing_end_penalty,
            combination=self.combination,
            scales=self.carried.scales,
        )
        return Drawn(groups, tokens, samples, texts, scored)

    def _refilled(self, drawn: Drawn, step: int) -> tuple[Drawn, dict[str, float]]:
        """Groups that differ within themselves, as many as were asked for if enough are found in time."""
        wanted, sampled = len(drawn.groups), len(drawn.groups)
        kept = drawn.only(drawn.scored.telling)
        spare = drawn.only([g for g in range(wanted) if g not in set(drawn.scored.telling)])
        for turn in range(self.settings.refill):
            if len(kept.groups) >= wanted:
                break
            order = shuffled(len(self._encoded), self.seed, -1 - step * self.settings.refill - turn)
            fresh = self._draw(order[:wanted], f"{step}/refill/{turn}")
            sampled += len(fresh.groups)
            kept += fresh.only(fresh.scored.telling)
        metrics = {
            "rollouts/groups_sampled": float(sampled),
            "rollouts/groups_kept": float(min(wanted, len(kept.groups))),
        }
        # Short of enough, the rest comes along: it teaches nothing, and keeps the divisor what it is in other steps.
        return (kept + spare).only(range(wanted)), metrics

    def _calibrated(self) -> dict[str, tuple[float, float]]:
        number = -(-self.combination.calibrate // self.settings.group_size)
        order = shuffled(len(self._encoded), self.seed, -1)
        drawn = self._draw([order[i % len(order)] for i in range(number)], "calibrate")
        scales = {}
        for name, rows in drawn.scored.parts.items():
            known = [r for row in rows for r in row if not math.isnan(r)]
            if len(known) < 2 or (spread := statistics.pstdev(known)) == 0:
                raise DataError(
                    f"{len(known)} numbers without a spread for {self.combination.calibrate} samples",
                    where=f"combination.calibrate, reward `{name}`",
                    remedy="Calibrate on more samples, or not at all.",
                )
            scales[name] = (statistics.fmean(known), spread)
        return scales

    # ---- what is known of the samples ------------------------------------------------------------------------------

    def _branch(self, sample: Sample, reward: float) -> Branch:
        # A response that no reward speaks of (NaN) is not trained on.
        counts = reward == reward and (sample.finished or not self.settings.mask_truncated)
        return Branch(sample.tokens, [counts] * len(sample.tokens), sample.logprobs, sample.finished)

    def _assessed(self, trees: list[Tree], drawn: Drawn) -> dict[str, float]:
        """Write down in the trees what the models say, and the advantages; numbers for the log."""
        wanted = self._wanted()
        if wanted:
            assert self.assess is not None, f"{sorted(wanted)}: the run is wired with somebody who can say"
            for name, rows in self.assess(trees, wanted).items():
                for tree, said in zip(trees, rows, strict=True):
                    tree.feedback[{"logprobs": "old_logprobs", "values": "old_values"}.get(name, name)] = said
        elif self.settings.old_logprobs == "sampling":
            for tree in trees:
                tree.feedback["old_logprobs"] = [branch.logprobs for branch in tree.branches]
        streams = data_streams(trees, packed := pack(trees))
        metrics = entropy(streams)
        rewards = torch.tensor([r for row in drawn.scored.totals for r in row], dtype=torch.float32)
        dense = _at_tokens(drawn.scored, packed.mask)
        if self.reward_kl:
            dense, numbers = self._penalised(dense, streams)
            metrics |= numbers
            rewards = torch.where(rewards.isnan(), rewards, dense.sum(1))
        streams |= {"rewards": rewards, "dense_rewards": dense}
        if self.advantage is not None and "baselines" in self.advantage.reads:
            streams["baselines"] = self._baselines(drawn)
        made = self._advantages(streams)
        for name, values in made.items():
            _write_down(trees, name, values if values.ndim == 2 else values[:, None].expand(packed.mask.shape))
        return metrics | of_values(streams | made)

    def _wanted(self) -> set[str]:
        """Streams that the models have to make of the samples before the first update."""
        wanted = set()
        if self.reward_kl or ("ref_logprobs" in self.needs and self.several_updates):
            wanted.add("ref_logprobs")
        if "old_values" in self.needs:
            wanted.add("values")
        if "old_logprobs" in self.needs and self.several_updates and self.settings.old_logprobs == "training":
            read_before = self.reward_kl is not None or (self.advantage and "old_logprobs" in self.advantage.reads)
            if read_before or not self.whole:  # else the first update writes them down
                wanted.add("logprobs")
        return wanted

    def _penalised(self, dense: Tensor, streams: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        assert self.reward_kl is not None
        policy = streams.get("old_logprobs", streams["sampled_logprobs"])
        coefficient = self.carried.kl_coefficient
        dense, kl = penalised(
            dense, policy, streams["ref_logprobs"], streams["mask"], coefficient, self.reward_kl.estimator
        )
        alive = streams["mask"].any(1)
        mean = float(kl[alive].mean()) if alive.any() else 0.0
        if self.reward_kl.target:
            self.carried.kl_coefficient = adapted(
                coefficient, mean, self.reward_kl.target, samples=len(kl), horizon=self.reward_kl.horizon
            )
        return dense, {"kl/sequence": mean, "kl/coefficient": coefficient}

    def _baselines(self, drawn: Drawn) -> Tensor:
        """[rows]: what the likeliest response to the same prompt is worth."""
        likeliest = self._likeliest(drawn)
        each = zip(likeliest.scored.totals, drawn.samples, strict=True)
        return torch.tensor([reward for (reward,), row in each for _ in row], dtype=torch.float32)

    def _advantages(self, streams: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if self.advantage is None:
            return {"advantages": streams["rewards"].nan_to_num(0.0)}
        made = self.advantage.call(streams)
        return made if isinstance(made, dict) else {"advantages": made}


def _solved(drawn: Drawn, label: str, vote: Vote) -> list[list[Solved]]:
    """The policy's responses to the prompts of which a reward speaks, right where it gives 1."""
    out = []
    for rewards, samples, texts in zip(drawn.scored.parts[label], drawn.samples, drawn.texts, strict=True):
        each = zip(rewards, samples, texts, strict=True)
        row = [Solved(r >= 1, vote(text), text) for r, s, text in each if not s.rival and not math.isnan(r)]
        out += [row] if row else []
    return out


def _write_down(trees: Sequence[Tree], name: str, values: Tensor) -> None:
    row = iter(values.tolist())
    for tree in trees:
        tree.feedback[name] = [next(row)[: len(branch.tokens)] for branch in tree.branches]


def _at_tokens(scored: Scored, mask: Tensor) -> Tensor:
    """[rows, tokens]: what was given for a token at that token, the rest at the last one that is trained on."""
    dense = torch.zeros(mask.shape)
    totals = [total for row in scored.totals for total in row]
    given = [each for row in scored.dense for each in row]
    left = torch.tensor([t - (math.fsum(g) if g else 0.0) for t, g in zip(totals, given, strict=True)])
    alive = mask.any(1)
    for i, credit in enumerate(given):
        if credit is not None and alive[i]:
            dense[i, : len(credit)] = torch.tensor(credit)
    rows, columns = mask.nonzero(as_tuple=True)
    last = torch.zeros(len(mask), dtype=torch.long).scatter_reduce(0, rows, columns, "amax")[alive]
    dense[alive, last] += left[alive]
    return dense
