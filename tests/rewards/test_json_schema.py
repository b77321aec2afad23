"""JSON that fits a schema, whatever schema and JSON are."""

from __future__ import annotations

import importlib.util
import json
import time
from typing import Any

import pytest

from truing import registry
from truing.bind import bind
from truing.errors import DataError, RecipeError
from truing.recipe import Named
from truing.rewards.json_schema import JsonSchema, unfenced

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def judge() -> JsonSchema:
    return JsonSchema(schema=PERSON, seconds=1)


def of(judge: JsonSchema, *texts: str, schema: Any = None) -> list[float | None]:
    return judge([""] * len(texts), list(texts), schema=[schema] * len(texts))


def test_what_fits_earns_1(judge: JsonSchema) -> None:
    texts = ['{"name": "Ada", "age": 36}', '{"age": 36}', '{"name": "Ada", "age": -1}', "Ada", '{"name": "Ada"} there']
    assert of(judge, *texts) == [1, 0, 0, 0, 0]


def test_a_code_block_and_a_thought_may_be_around_it(judge: JsonSchema) -> None:
    text = '<think>{"no": 1}</think>\n```json\n{"name": "Ada"}\n```'
    assert of(judge, text) == [1]
    assert of(JsonSchema(schema=PERSON, fence=False), text, '{"name": "Ada"}') == [0, 1]
    assert unfenced("``` {} ```") == "{}"
    assert unfenced("```json {} ```") == "{}"
    assert unfenced("``````") == ""


def test_nan_and_what_else_is_no_json_earns_0() -> None:
    judge = JsonSchema(schema={}, seconds=1)
    assert of(judge, "NaN", "Infinity", "[1,]", "'a'", "", "9" * 5000, "1") == [0, 0, 0, 0, 0, 0, 1]


def test_rows_may_have_a_schema_of_their_own() -> None:
    judge = JsonSchema(seconds=1)
    found = judge(["", "", ""], ["1", "1", "1"], schema=[{"type": "string"}, json.dumps({"type": "integer"}), None])
    assert found == [0, 1, None]
    assert judge([""], ["1"]) == [None]


@pytest.mark.parametrize(
    "cell", ["{", "[1]", 5, {"type": "juggler"}, {"pattern": "("}, {"$ref": "http://localhost:9/s.json"}]
)
def test_a_schema_that_is_none_is_refused(judge: JsonSchema, cell: Any) -> None:
    with pytest.raises(DataError, match="column `schema`"):
        of(judge, '"1"', schema=cell)


def test_official_schemas_are_known_and_nothing_is_fetched(judge: JsonSchema) -> None:
    start = time.monotonic()
    assert of(judge, '{"type": 5}', "{}", schema={"$ref": "https://json-schema.org/draft/2020-12/schema"}) == [0, 1]
    with pytest.raises(DataError, match=r"its \$ref is not in it"):
        of(judge, "1", schema={"$ref": "https://example.com/never.json"})
    assert time.monotonic() - start < 60


def test_hostile_schemas_and_texts_end(judge: JsonSchema) -> None:
    doubling: dict[str, Any] = {"$defs": {"d0": {"type": "integer"}}, "$ref": "#/$defs/d40"}
    for i in range(40):
        doubling["$defs"][f"d{i + 1}"] = {"allOf": [{"$ref": f"#/$defs/d{i}"}, {"$ref": f"#/$defs/d{i}"}]}
    assert of(judge, "1", schema=doubling) == [0], "two to the fortieth checks"
    assert of(judge, json.dumps("a" * 60 + "b"), schema={"pattern": "^(a+)+$"}) == [0]
    assert of(judge, "1", schema={"$ref": "#"}) == [0], "it is itself for ever"
    assert of(judge, "1e400", schema={"multipleOf": 0.1}) == [0]
    assert of(judge, "[" * 100_000, "[" * 100_000 + "]" * 100_000, '{"a":' * 50_000) == [0, 0, 0]
    assert of(judge, '{"name": "Ada"}') == [1], "and it goes on"


def test_the_setting_is_called_schema() -> None:
    assert bind(registry.reward, Named(name="json_schema", settings={"schema": PERSON})).settings["schema"] == PERSON


def test_without_jsonschema_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=r'pip install "truing\[json\]"'):
        JsonSchema(schema=PERSON)
