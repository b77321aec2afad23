"""Instructions of Alpaca."""

from __future__ import annotations

from typing import Any

import pytest

from truing.errors import DataError
from truing.feedback.formats import FORMATS, sniff
from truing.group import Group, Message, Prompt, Response


def read(row: dict[str, Any]) -> Group:
    return sniff(row, "f:1").read(row, "f:1")


def test_alpaca_joins_instruction_and_input_and_can_part_them_again() -> None:
    row = {"instruction": "Add.", "input": "1\n\n2", "output": "3", "id": 1}
    group = read(row)
    assert group == Group(Prompt.of("Add.\n\n1\n\n2"), (Response.of("3"),), columns={"input": "1\n\n2", "id": 1})
    assert FORMATS["alpaca"].write(group) == row


@pytest.mark.parametrize("row", [{"input": ""}, {"input": None}, {}])
def test_alpaca_may_have_no_input(row: dict[str, Any]) -> None:
    group = read({"instruction": "Sing.", "output": "La", **row})
    assert group == Group(Prompt.of("Sing."), (Response.of("La"),))
    assert FORMATS["alpaca"].write(group) == {"instruction": "Sing.", "input": "", "output": "La"}


def test_alpaca_keeps_a_system_turn_and_refuses_a_history() -> None:
    row = {"instruction": "Sing.", "input": "", "output": "La", "system": "Softly."}
    assert read(row).prompt.messages[0] == Message("system", "Softly.")
    assert FORMATS["alpaca"].write(read(row)) == row
    with pytest.raises(DataError, match="earlier turns in `history`"):
        read({**row, "history": [["a", "b"]]})


def test_an_input_column_that_is_not_the_end_of_the_prompt_is_no_alpaca() -> None:
    with pytest.raises(DataError, match="extra column `input`"):
        FORMATS["alpaca"].write(Group(Prompt.of("Sing."), (Response.of("La"),), columns={"input": "loudly"}))
