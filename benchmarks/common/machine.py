"""What a process has used, and what the machine could do."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from statistics import median

__all__ = ["cpu_name", "environment", "gemm_rate", "peak_megabytes", "resident_megabytes", "versions"]


def peak_megabytes() -> float:
    """The most memory this process ever held (VmHWM)."""
    return _status("VmHWM")


def resident_megabytes() -> float:
    """The memory it holds now (VmRSS)."""
    return _status("VmRSS")


def _status(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {field}: peak memory is measured on Linux only")


def gemm_rate(rounds: int = 9) -> float:
    """Floating-point operations per CPU second of float32 matrix products, the median of `rounds`.

    Large enough that it is the best the library does: what a training step could reach if it were nothing else.
    """
    import torch

    left, right = torch.randn(2048, 1024), torch.randn(1024, 2048)
    out = torch.empty(2048, 2048)
    torch.mm(left, right, out=out)
    rates = []
    for _ in range(rounds):
        began = time.process_time()
        torch.mm(left, right, out=out)
        rates.append(2 * 2048 * 1024 * 2048 / (time.process_time() - began))
    return median(rates)


def environment(threads: int) -> dict[str, str]:
    """The environment of a measured process: as many threads, no network, no progress bars."""
    return os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "TQDM_DISABLE": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }


def cpu_name() -> str:
    """The processor, as it calls itself."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def versions(*packages: str) -> dict[str, str]:
    """Installed versions; a package that is not there is left out."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
