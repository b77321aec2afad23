from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Annotated, Any, Literal

import pytest
import torch
from pydantic import Field
from torch import Tensor

from truing.errors import RegistryError
from truing.reduce import Term
from truing.registry import Entry, Registry, advantage, objective, use_file, use_plugins


@pytest.fixture(autouse=True)
def _nothing_stays_registered() -> Iterator[None]:
    objective["dpo"], advantage["group_mean"]  # our own are in
    kept = [(registry, dict(registry._entries)) for registry in (objective, advantage)]
    yield
    for registry, entries in kept:
        registry._entries.clear()
        registry._entries.update(entries)
    for name in [m for m in sys.modules if m.startswith("truing_user_") or m.endswith("_for_this_test")]:
        del sys.modules[name]


@pytest.fixture
def some() -> Registry:
    """A registry of functions that read streams."""
    return Registry("objective", "truing.objectives", streams=True)


def write(path: Path, text: str) -> Path:
    path.write_text(dedent(text), encoding="utf-8")
    return path


MY_LOSS = """
    from truing.reduce import Term
    from truing.registry import objective

    @objective
    def my_loss(logprobs, mask, *, beta: float = 0.5):
        "Half of the negative log-likelihood."
        return Term(-beta * logprobs.masked_fill(~mask, 0.0), mask)
"""


# ---- the signature is the schema -----------------------------------------------------------------------------------


def test_positional_parameters_are_streams_and_keyword_only_ones_settings(some: Registry) -> None:
    @some
    def loss(logprobs: Tensor, mask: Tensor, *, beta: float = 0.1, kind: Literal["a", "b"], odd=3) -> None:  # type: ignore[no-untyped-def]
        """One line.

        More.
        """

    entry = some["loss"]
    assert entry.reads == ("logprobs", "mask")
    assert list(entry.settings) == ["beta", "kind", "odd"]
    assert entry.settings["beta"].type is float
    assert entry.settings["beta"].default == 0.1
    assert entry.settings["kind"].required
    assert entry.settings["kind"].type == Literal["a", "b"]
    assert entry.settings["odd"].type is Any
    assert entry.summary == "One line."


def test_the_bounds_of_a_setting_are_kept(some: Registry) -> None:
    @some
    def loss(logprobs: Tensor, *, beta: Annotated[float, Field(gt=0)] = 0.1) -> None: ...

    assert some["loss"].settings["beta"].type.__metadata__[0].metadata[0].gt == 0


def test_the_settings_of_a_class_are_those_it_is_made_with() -> None:
    class Judge:
        scale: str

        def __init__(self, *, scale: float = 2.0) -> None: ...

    assert Entry("reward", "judge", Judge).settings["scale"].type is float


def test_a_class_without_settings_has_none() -> None:
    class Judge:
        pass

    assert Entry("reward", "judge", Judge).settings == {}


def test_an_unknown_stream_is_refused_with_a_suggestion(some: Registry) -> None:
    with pytest.raises(
        RegistryError, match=r"reads `logprob`, which is no stream\n.*Did you mean `logprobs`\?"
    ) as told:

        @some
        def loss(mask: Tensor, logprob: Tensor) -> None: ...

    assert told.value.where == __file__
    assert "loss" not in some


def test_a_setting_before_the_star_is_refused_with_the_remedy(some: Registry) -> None:
    with pytest.raises(RegistryError, match=r"reads `beta`.*\n.*Settings come after a `\*`"):

        @some
        def loss(logprobs: Tensor, beta: float = 0.1) -> None: ...


def test_a_signature_that_says_nothing_is_refused(some: Registry) -> None:
    with pytest.raises(RegistryError, match=r"takes `\*streams"):

        @some
        def loss(*streams: Tensor) -> None: ...

    with pytest.raises(RegistryError, match=r"takes `\*\*settings"):

        @some
        def other(logprobs: Tensor, **settings: Any) -> None: ...


def test_rewards_read_columns_not_streams() -> None:
    rewards = Registry("reward", "truing.objectives")

    @rewards
    def length(prompts: list[str], completions: list[str], **columns: Any) -> list[float]:
        return [float(len(c)) for c in completions]

    assert rewards["length"].function(["?"], ["four"]) == [4.0]


# ---- names ---------------------------------------------------------------------------------------------------------


def test_an_unknown_name_is_refused_with_a_suggestion() -> None:
    with pytest.raises(RegistryError, match=r"there is no objective `hing`\n  Did you mean `hinge`\? Known: .*sft"):
        objective["hing"]
    with pytest.raises(RegistryError, match=r"there is no advantage `zzz`\n  Known: .*group_mean, .*leave_one_out"):
        advantage["zzz"]


def test_what_the_package_brings_is_found_by_name_and_listed_in_order() -> None:
    names = [entry.name for entry in objective]
    assert names == sorted(names)
    assert {"bradley_terry", "dpo", "entropy", "kl", "ppo_clip", "reinforce", "sft"} <= set(names)
    assert "dpo" in objective
    assert "dop" not in objective


def test_a_name_can_be_given(some: Registry) -> None:
    def loss(logprobs: Tensor) -> None: ...

    some.register(loss, "other")
    assert some["other"].function is loss


def test_the_same_file_may_define_its_function_again(some: Registry) -> None:
    def loss(logprobs: Tensor) -> None: ...

    first = loss

    def loss(logprobs: Tensor, mask: Tensor) -> None: ...  # type: ignore[no-redef]

    some(first)
    some(loss)
    assert some["loss"].reads == ("logprobs", "mask")


# ---- a user's file -------------------------------------------------------------------------------------------------


def test_a_users_function_has_a_name_and_works(tmp_path: Path) -> None:
    use_file(write(tmp_path / "mine.py", MY_LOSS))
    entry = objective["my_loss"]
    assert entry.reads == ("logprobs", "mask")
    term = entry.function(torch.tensor([[-4.0]]), torch.tensor([[True]]), beta=0.25)
    assert isinstance(term, Term)
    assert term.values.item() == 1.0


def test_a_users_file_may_be_read_twice(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.py", MY_LOSS)
    use_file(path)
    use_file(path)
    assert "my_loss" in objective


def test_streams_may_be_typed_for_the_checker_only(tmp_path: Path) -> None:
    text = """
        from __future__ import annotations
        from typing import TYPE_CHECKING
        from truing.registry import objective
        if TYPE_CHECKING:
            from torch import Tensor

        @objective
        def mine(logprobs: Tensor, *, beta: float = 0.5): ...

        @objective
        def other(logprobs, *, start: Tensor = None): ...
    """
    use_file(write(tmp_path / "mine.py", text))
    assert objective["mine"].settings["beta"].type is float
    with pytest.raises(RegistryError, match=r"mine\.py: the type of a setting of objective `other`.*'Tensor'"):
        _ = objective["other"].settings


def test_a_name_of_ours_is_not_given_to_a_user_and_the_user_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.py", MY_LOSS.replace("my_loss", "dpo"))
    ours = objective["dpo"].function
    with pytest.raises(RegistryError, match=r"mine\.py: objective `dpo` is already defined in .*objectives/dpo\.py"):
        use_file(path)
    assert objective["dpo"].function is ours


def test_the_user_is_told_even_when_ours_have_not_been_loaded_yet(tmp_path: Path) -> None:
    # In a fresh process nothing of ours is registered before the first look.
    import subprocess

    path = write(tmp_path / "mine.py", MY_LOSS.replace("my_loss", "dpo"))
    code = f"from truing.registry import use_file; use_file({str(path)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"{path}: objective `dpo` is already defined" in done.stderr


def test_two_files_of_the_same_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    use_file(write(tmp_path / "a" / "mine.py", MY_LOSS))
    with pytest.raises(RegistryError, match=r"b/mine\.py: objective `my_loss` is already defined in .*a/mine\.py"):
        use_file(write(tmp_path / "b" / "mine.py", MY_LOSS))
    use_file(write(tmp_path / "b" / "mine.py", MY_LOSS.replace("my_loss", "their_loss")))
    assert "my_loss" in objective
    assert "their_loss" in objective


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1\nimport nowhere_at_all\n", r"mine\.py:2: running it failed with ModuleNotFoundError: .*nowhere_at_all"),
        ("x = 1\ny = (\n", r"mine\.py:2: running it failed with SyntaxError"),
        ("def f():\n    return 1 / 0\n\nf()\n", r"mine\.py:2: running it failed with ZeroDivisionError"),
        ("raise SystemExit('bye')\n", r"mine\.py:1: running it failed with SystemExit: bye"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    path = write(tmp_path / "mine.py", text)
    before = set(sys.modules)
    with pytest.raises(RegistryError, match=told) as error:
        use_file(path)
    assert error.value.exit_code == 2
    assert not [m for m in set(sys.modules) - before if m.startswith("truing_user_")]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"nowhere\.py: no such file"):
        use_file(tmp_path / "nowhere.py")
    with pytest.raises(RegistryError, match="no such file"):
        use_file(tmp_path)


def test_a_file_need_not_end_in_py(tmp_path: Path) -> None:
    use_file(write(tmp_path / "mine.txt", MY_LOSS))
    assert "my_loss" in objective


# ---- an installed package ------------------------------------------------------------------------------------------


def install(folder: Path, module: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package as an installer leaves it: a module and its metadata in a folder on the path."""
    write(folder / f"{module}.py", text)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    write(info / "METADATA", f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    write(info / "entry_points.txt", f"[truing]\n{module} = {module}\n")
    monkeypatch.syspath_prepend(folder)
    importlib.invalidate_caches()


def test_an_installed_package_brings_its_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "truing_plugin_for_this_test", MY_LOSS, monkeypatch)
    assert "my_loss" not in objective
    use_plugins()
    assert objective["my_loss"].function.__module__ == "truing_plugin_for_this_test"


def test_a_broken_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "broken_plugin_for_this_test", "1 / 0", monkeypatch)
    with pytest.raises(RegistryError, match=r"installed package `broken_plugin_for_this_test`.*ZeroDivisionError"):
        use_plugins()
