"""What a process has used, and what the machine could do."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

__all__ = ["cpu_name", "environment", "gemm_rate", "gemm_rates", "peak_megabytes", "resident_megabytes", "versions"]


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
    """Floating-point operations per CPU second of float32 matrix products: of the faster of `gemm_rates`."""
    return max(gemm_rates(rounds).values())


def gemm_rates(rounds: int = 9) -> dict[str, float]:
    """The same by library, each the median of `rounds`: what PyTorch calls by itself, and oneDNN where it is built in.

    Both compute the same in float32; which is faster depends on the processor. Large enough that it is the best that
    the library does: what a training step could reach if it were nothing else.
    """
    import torch

    left, right = torch.randn(2048, 1024), torch.randn(2048, 1024)
    out = torch.empty(2048, 2048)
    routes: dict[str, Callable[[], object]] = {"torch.mm": lambda: torch.mm(left, right.t(), out=out)}
    if torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        product = torch.ops.mkldnn._linear_pointwise
        routes["oneDNN"] = lambda: product(left, right, None, "none", [], "")
    rates: dict[str, list[float]] = {name: [] for name in routes}
    with torch.no_grad():
        for number in range(rounds + 1):
            for name, multiply in routes.items():  # in turn: neither has the better moment
                began = time.process_time()
                multiply()
                if number:  # the first warms up
                    rates[name].append(2 * 2048 * 1024 * 2048 / (time.process_time() - began))
    return {name: median(each) for name, each in rates.items()}


def environment(threads: int) -> dict[str, str]:
    """The environment of a measured process: as many threads, no network, no progress bars; kernels are compiled."""
    from truing.caches import cache_folder

    return os.environ | {
        "NUMBA_CACHE_DIR": os.environ.get("NUMBA_CACHE_DIR", str(cache_folder())),
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
