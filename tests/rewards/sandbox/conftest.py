"""Sandboxes with all that this machine has, and with what weaker machines have."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from truing.rewards.sandbox import Sandbox

MACHINES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "no namespaces": {"without": ("namespaces", "bubblewrap")},
    "only an old Landlock": {"without": ("namespaces", "bubblewrap", "user"), "landlock": 1},
    "no Landlock": {"without": ("landlock",)},
    "in bubblewrap": {"without": ("namespaces",)},
}
"""What is left out of this machine. Where it never had namespaces the first two are the same, and pass all the same."""


RARE = ("no Landlock", "in bubblewrap")
PARAMETERS = [pytest.param(name, marks=pytest.mark.slow if name in RARE else ()) for name in MACHINES]


@pytest.fixture(scope="session", params=PARAMETERS)
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A sandbox on each machine; tests say what it guarantees on all of them."""
    if request.param == "in bubblewrap" and not shutil.which("bwrap"):
        pytest.skip("bubblewrap is not installed")
    with Sandbox(workers=1, **MACHINES[request.param]) as made:
        if not made.capabilities.safe:
            pytest.skip(f"this machine cannot confine untrusted code: {made.capabilities}")
        yield made


@pytest.fixture(scope="session")
def one_sandbox() -> Iterator[Sandbox]:
    """A sandbox with all that this machine has."""
    with Sandbox(workers=1) as made:
        if not made.capabilities.safe:
            pytest.skip(f"this machine cannot confine untrusted code: {made.capabilities}")
        yield made
