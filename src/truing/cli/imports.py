"""How a verb imports what is heavy."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["importing"]


@contextmanager
def importing() -> Iterator[None]:
    """Import what is heavy inside of it: faster, and without other libraries' progress bars and advice."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Libraries are a million objects that live as long as the process. Looking through them for garbage is a fifth of
    # the time of importing them, and a second more at exit.
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
