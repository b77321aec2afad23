"""The shipped base model, loaded once."""

from __future__ import annotations

from typing import Any

import pytest

from truing import lab


@pytest.fixture(scope="session")
def base_tokenizer() -> Any:
    """The tokenizer in `lab/base`."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(lab.base_path())


@pytest.fixture(scope="session")
def base_model() -> Any:
    """The model in `lab/base`, loaded as anybody would."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(lab.base_path())
