"""The advantage of GRPO."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from truing.advantages._groups import deviations, group_sums
from truing.registry import advantage

__all__ = ["group_mean"]


@advantage
def group_mean(
    rewards: Tensor,
    groups: Tensor,
    *,
    scale: Literal["group", "none", "batch"] = "group",
    epsilon: Annotated[float, Field(gt=0)] = 1e-4,
) -> Tensor:
    """GRPO: A = (r − mean of the group) / (std + epsilon) (arXiv:2402.03300, sec. 4.1.2).

    `scale` names the std: of the `group`; of all rewards of the `batch`, so that prompts keep their relative weight
    (arXiv:2508.08221); or `none`, no division, because that of the group overweights prompts that are nearly always or
    nearly never solved (Dr. GRPO, arXiv:2503.20783). The std is that of a sample (n − 1). A larger `epsilon` damps
    groups whose rewards hardly differ. A response without a reward (NaN) has advantage 0 and does not count; so has
    one that is alone in its group. Returns `[rows]`, float32.
    """
    centered, counts = deviations(rewards, groups)
    if scale == "none":
        return centered.float()
    if scale == "group":
        std = (group_sums(centered**2, groups) / (counts - 1).clamp(min=1)).sqrt()
    else:
        known = rewards.detach()[~rewards.isnan()].double()
        std = known.std() if len(known) > 1 else known.new_zeros(())
    return (centered / (std + epsilon)).float()
