"""All benchmarks in one command, one after the other, each as it comes.

    python benchmarks/run.py                                   # all of them, size S: hours
    python benchmarks/run.py sft reward                        # these
    python benchmarks/run.py dpo sft reward --size M --rounds 1 --steps 2

Other arguments go to each of them. Results lie in `benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from common.sides import BENCHMARKS, have_peer

NAMES = {
    "sft": "supervised fine-tuning against TRL",
    "dpo": "DPO against TRL",
    "reward": "reward model against TRL",
    "kwise": "rankings, prompts shared against prompts copied",
    "grpo": "GRPO steps against TRL",
    "ppo": "PPO steps against GRPO, and DPO against PPO, all ours",
    "generation": "rollouts against model.generate",
    "where": "where a step's time goes, for each method",
    "felt": "what users wait for beside the steps",
    "scaling": "how time and memory grow",
}
PEERED = {"sft", "dpo", "reward", "grpo"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"{name:12}{said}" for name, said in NAMES.items()),
    )
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(NAMES))
    # By hand: argparse would take the value of somebody else's option for a name.
    given = list(takewhile(lambda word: not word.startswith("-"), sys.argv[1:]))
    rest = sys.argv[1 + len(given) :]
    names = parser.parse_args(["--help"] if {"-h", "--help"} & set(rest) else given).names or list(NAMES)
    if unknown := [name for name in names if name not in NAMES]:
        parser.error(f"no benchmark is called {unknown[0]!r}; there are {', '.join(NAMES)}")
    if PEERED.intersection(names) and "--sides" not in rest and (missing := have_peer()):
        sys.exit(missing)
    failed = []
    for name in names:
        print(f"\n== {name}: {NAMES[name]}", flush=True)
        if subprocess.run([sys.executable, str(BENCHMARKS / f"{name}.py"), *rest], check=False).returncode:
            failed.append(name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
