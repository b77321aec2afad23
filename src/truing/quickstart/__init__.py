"""The whole job on the embedded world, in minutes on two cores:

base model -> SFT -> preferences -> reward model -> DPO, and GRPO against the reward model -> evaluation -> report
"""

from truing.quickstart.stages import Settings, quickstart

__all__ = ["Settings", "quickstart"]
