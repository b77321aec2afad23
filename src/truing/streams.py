"""Every tensor that an objective or an advantage may read: the closed list.

A stream is named by the parameter that reads it. `rows` are the responses of a batch, `tokens` the tokens of the
longest response in it (shorter rows are masked), `pairs` the comparisons. Nothing here imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["STREAMS", "Stream"]


@dataclass(frozen=True, slots=True)
class Stream:
    """What a stream is: its shape, who makes it (`policy`, `reference`, `data`, `rollouts`, `rewards`, `advantages`),
    and what it means."""

    name: str
    shape: str
    maker: str
    meaning: str


_TABLE = (
    # made by the model in training; gradients flow through these and through nothing else
    Stream("logprobs", "rows tokens", "policy", "log π(token | before), under the policy in training"),
    Stream("entropies", "rows tokens", "policy", "entropy of the policy's next-token distribution, nats"),
    Stream("values", "rows tokens", "policy", "value head at the state before each response token"),
    Stream("rewards", "rows", "policy or rewards", "of each response: by the reward head in training, else given"),
    Stream("token_rewards", "rows tokens", "policy", "what the reward head says at every trained token"),
    Stream("aspect_rewards", "rows aspects", "policy", "what the head of each aspect says of each response"),
    Stream("pair_scores", "rows", "policy", "what the head says of two responses read in one order; a row is an order"),
    Stream("adapter_l1", "", "policy", "L1 norm of all that LoRA adapters add to the weights, Δ = (alpha / r)·B·A"),
    Stream("ref_kl", "rows tokens", "policy", "KL(π_ref ‖ π) of the next-token distributions, whole vocabulary, nats"),
    Stream("collision_logprobs", "rows tokens", "policy", "log Σ π(v)² over the vocabulary, without a gradient"),
    # made by a frozen model
    Stream("ref_logprobs", "rows tokens", "reference", "log π_ref(token | before), under the frozen reference"),
    # made when the responses were sampled
    Stream("sampled_logprobs", "rows tokens", "rollouts", "log-probabilities as whoever sampled the tokens said them"),
    Stream("old_logprobs", "rows tokens", "rollouts", "log-probabilities under the policy before the batch's updates"),
    Stream("old_values", "rows tokens", "rollouts", "what the value head said before the batch's updates"),
    Stream("finished", "rows", "rollouts", "bool: the response ended by itself and was not cut at the limit"),
    Stream("rivals", "rows", "rollouts", "bool: not the policy but its rival sampled the response (`rollouts.rivals`)"),
    Stream("dense_rewards", "rows tokens", "rewards", "reward of each token, less KL; the whole's at the last"),
    Stream("baselines", "rows", "rewards", "reward of the likeliest (greedy) response to the same prompt"),
    Stream("advantages", "rows tokens", "advantages", "how much better than expected each token was"),
    Stream("returns", "rows tokens", "advantages", "what the value head should have said"),
    # one number for the whole batch, made before the gradient (`statistics.py`)
    Stream("mismatched_log_ratio", "", "statistics", "mean of Σ log π/π_ref of responses put after another prompt"),
    Stream("desirable_log_ratio", "", "statistics", "mean of Σ log π/π_ref of responses labelled 1"),
    Stream("undesirable_log_ratio", "", "statistics", "mean of Σ log π/π_ref of responses labelled 0"),
    # one number for each comparison, made out of the whole batch before the gradient
    Stream(
        "reference_quantile",
        "pairs",
        "statistics",
        "Σ log π_ref(chosen)/π_ref(rejected) of the pair whose place in order of it this pair has in order of π's",
    ),
    Stream(
        "rejected_quantile",
        "pairs",
        "statistics",
        "Σ log π/π_ref of the rejected response at the place that this chosen one has among the chosen ones",
    ),
    Stream(
        "chosen_quantile",
        "pairs",
        "statistics",
        "Σ log π/π_ref of the chosen response at the place that this rejected one has among the rejected ones",
    ),
    # read off the batch
    Stream("mask", "rows tokens", "data", "bool: tokens that are trained on (the assistant's)"),
    Stream("groups", "rows", "data", "index of the group that each response belongs to"),
    Stream("demonstrations", "rows", "data", "bool: nobody put another response above it, or found a fault in it"),
    # feedback
    Stream("chosen", "pairs", "data", "row of the better response of each comparison"),
    Stream("rejected", "pairs", "data", "row of the worse response of each comparison"),
    Stream(
        "strength", "pairs", "data", "probability, 0.5..1, that the chosen one is preferred; 1 where nothing was said"
    ),
    Stream("margin", "pairs", "data", "by how much the chosen one is better; 0 where nothing was said"),
    Stream("ranks", "rows", "data", "place in the group, 1 = best, equal = tie, 0 = unranked"),
    Stream("scores", "rows", "data", "score given to each response; NaN where none was given"),
    Stream(
        "aspect_scores",
        "rows aspects",
        "data",
        "score of each aspect, in standard deviations from its mean in the training data; NaN where none was given",
    ),
    Stream("labels", "rows", "data", "1 thumbs up, 0 thumbs down, -1 nothing said"),
    Stream(
        "step_labels",
        "rows tokens",
        "data",
        "at the token that ends a step the probability that it is right: 1 right, 0.5 neutral, 0 wrong; NaN elsewhere",
    ),
)

STREAMS: dict[str, Stream] = {stream.name: stream for stream in _TABLE}
