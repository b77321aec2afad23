"""A place where untrusted Python may run: no network, no files but its own, no other process, and not for long.

What it guarantees, on which machines, and what it does not: docs/sandbox.md. `inside/` runs in the helper process.
"""

from truing.rewards.sandbox.outcome import Capabilities, Limits, Outcome, SandboxError, Status, UnitTests, Verdict
from truing.rewards.sandbox.pool import Sandbox, capabilities, check, run

__all__ = [
    "Capabilities",
    "Limits",
    "Outcome",
    "Sandbox",
    "SandboxError",
    "Status",
    "UnitTests",
    "Verdict",
    "capabilities",
    "check",
    "run",
]
