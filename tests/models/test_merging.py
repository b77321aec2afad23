"""Merged adapters: by hand, against peft, and what is refused."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from truing.errors import ModelError, UserError
from truing.models.adapters import load_adapter, merged, with_lora
from truing.models.deltas import layers
from truing.models.loading import load_causal_lm, load_tokenizer
from truing.models.merging import METHODS, Merge, combined, merge_adapters
from truing.models.saving import save_model

IDS = torch.tensor([[5, 6, 7, 8, 9, 40, 41]])
Make = Callable[..., Path]


@pytest.fixture
def adapter(toy_folder: Path, tmp_path: Path) -> Make:
    """Makes the folder of an adapter of the toy model with random weights."""

    def make(name: str, seed: int = 0, base: Path = toy_folder, **lora: Any) -> Path:
        torch.manual_seed(seed)
        model = with_lora(load_causal_lm(base), **{"r": 2, "alpha": 3.0, **lora})
        for parameter in model.parameters():
            if parameter.requires_grad:
                torch.nn.init.normal_(parameter, std=0.2)
        save_model(model, load_tokenizer(base), tmp_path / name, merge=False)
        return tmp_path / name

    return make


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(input_ids=IDS).logits
    return found


def deltas_of(base: Path, folders: Sequence[Path]) -> tuple[Any, dict[str, list[Tensor]]]:
    model: Any = load_causal_lm(base)
    for number, folder in enumerate(folders):
        model = load_adapter(model, folder, str(number))
    with torch.no_grad():
        return model, {n: [x.get_delta_weight(str(i)) for i in range(len(folders))] for n, x in layers(model, "0")}


# ---- by hand -------------------------------------------------------------------------------------------------------

ONE = torch.tensor([4.0, -1.0, 0.5, -3.0, 2.0])
TWO = torch.tensor([1.0, -5.0, 0.2, 3.5, 4.0])


def test_linear_is_the_weighted_sum() -> None:
    assert combined([ONE, TWO], Merge("linear")).tolist() == (ONE + TWO).tolist()
    found = combined([ONE, TWO], Merge("linear", (0.5, -1.0)))
    torch.testing.assert_close(found, torch.tensor([1.0, 4.5, 0.05, -5.0, -3.0]))


def test_ties_trims_elects_a_sign_and_takes_the_mean_of_those_that_agree() -> None:
    # The three largest of five are kept: 4, -3, 2 of the one and -5, 3.5, 4 of the other. In the fourth place
    # -3 + 3.5 > 0 elects plus, and only 3.5 agrees; in the fifth both do, and their mean is 3.
    assert combined([ONE, TWO], Merge("ties", density=0.6)).tolist() == [4.0, -5.0, 0.0, 3.5, 3.0]
    halved = combined([ONE, TWO], Merge("ties", (0.5, 0.5), density=0.6))
    assert halved.tolist() == [2.0, -2.5, 0.0, 1.75, 1.5], "the mean is taken by number, not by weight"
    # Nothing trimmed: the first place has the mean of 4 and 1.
    whole = combined([ONE, TWO], Merge("ties", density=1.0))
    torch.testing.assert_close(whole, torch.tensor([2.5, -3.0, 0.35, 3.5, 3.0]))


def test_dare_drops_at_random_rescales_and_keeps_the_expectation() -> None:
    ones = torch.ones(200, 200)
    found = combined([ones], Merge("dare_linear", density=0.25))
    assert set(found.flatten().tolist()) == {0.0, 4.0}
    # The mean over n entries has the standard deviation sqrt(0.25 * 0.75 / n) / 0.25 = 0.0087.
    assert found.mean().item() == pytest.approx(1.0, abs=0.035)
    draws = combined([ONE.repeat(4000, 1), TWO.repeat(4000, 1)], Merge("dare_linear", density=0.5))
    # Each kept half of the time and doubled: variance a² + b², at most 5² + 1, so 0.08 on the mean of 4,000.
    torch.testing.assert_close(draws.mean(0), ONE + TWO, atol=0.33, rtol=0)
    assert combined([ONE, TWO], Merge("dare_linear", density=1.0)).tolist() == (ONE + TWO).tolist()


def test_dare_ties_elects_among_what_was_not_dropped() -> None:
    found = torch.stack([combined([ONE, TWO], Merge("dare_ties", density=0.5, seed=i)) for i in range(200)])
    # Rescaled by 2. Alone, 4 and 2 are 8 and 4 in the fifth place (of 2 and 4), their mean 6; or nothing is left.
    assert set(found[:, 4].tolist()) == {0.0, 4.0, 6.0, 8.0}
    # In the fourth, -3 against 3.5: both kept elect plus.
    assert set(found[:, 3].tolist()) == {0.0, -6.0, 7.0}


def test_dare_depends_on_seed_and_name_and_leaves_the_random_state_alone() -> None:
    ones = torch.ones(50, 50)
    before = torch.get_rng_state()
    first = combined([ones], Merge("dare_linear", seed=1), "layer.0")
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(7)
    assert torch.equal(first, combined([ones], Merge("dare_linear", seed=1), "layer.0"))
    assert not torch.equal(first, combined([ones], Merge("dare_linear", seed=2), "layer.0"))
    assert not torch.equal(first, combined([ones], Merge("dare_linear", seed=1), "layer.1"))
    two = combined([ones, -ones], Merge("dare_linear", seed=1))
    assert two.any(), "adapters are not dropped in the same places"


# ---- models --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", METHODS)
def test_weights_of_1_and_0_give_the_first_adapters_model(toy_folder: Path, adapter: Make, by: Any) -> None:
    one, two = adapter("one", 1), adapter("two", 2, r=3)
    alone = logits(merged(load_adapter(load_causal_lm(toy_folder), one)))
    assert (alone - logits(load_causal_lm(toy_folder))).abs().max() > 0.05
    found = merge_adapters([one, two], Merge(by, (1.0, 0.0), density=1.0))
    if by.endswith("linear"):
        torch.testing.assert_close(logits(found.model), alone, atol=1e-5, rtol=0)
    else:  # the other has no weight, and still a vote on the sign
        assert (logits(found.model) - alone).abs().max() > 1e-4
        same = merge_adapters([one], Merge(by, density=1.0))
        torch.testing.assert_close(logits(same.model), alone, atol=1e-5, rtol=0)


def test_linear_adds_the_sum_of_the_changes_and_ranks_may_differ(toy_folder: Path, adapter: Make) -> None:
    one, two = adapter("one", 1), adapter("two", 2, r=4, alpha=1.0)
    base = load_causal_lm(toy_folder).state_dict()
    found = merge_adapters([one, two], Merge(weights=(0.75, -0.5))).model.state_dict()
    _, changes = deltas_of(toy_folder, [one, two])
    assert len(changes) == 14, "7 linear layers in each of 2 blocks"
    moved = set()
    for name, (a, b) in changes.items():
        key = name.removeprefix("base_model.model.") + ".weight"
        torch.testing.assert_close(found[key], base[key] + 0.75 * a - 0.5 * b, atol=1e-6, rtol=0)
        moved.add(key)
    assert all(torch.equal(found[key], base[key]) for key in base.keys() - moved)


def test_peft_merges_a_and_b_apart_and_that_is_something_else(toy_folder: Path, adapter: Make) -> None:
    one, two = adapter("one", 1), adapter("two", 2)
    weights = [0.5, 0.25]
    model, changes = deltas_of(toy_folder, [one, two])
    model.add_weighted_adapter(["0", "1"], weights, "linear", combination_type="linear")
    model.add_weighted_adapter(["0", "1"], weights, "cat", combination_type="cat")
    model.add_weighted_adapter(["0", "1"], [1.0, 0.0], "first", combination_type="linear")
    model.add_weighted_adapter(["0", "1"], weights, "ties", combination_type="ties_svd", density=0.3, svd_rank=16)
    crossed = 0.0
    for name, layer in layers(model, "linear"):
        ours = combined(changes[name], Merge(weights=tuple(weights)), name)
        (a1, b1), (a2, b2) = ((layer.lora_A[n].weight, layer.lora_B[n].weight) for n in "01")
        # The cross terms: √(0.5·0.25) · alpha / r = √0.125 · 1.5 of B₁·A₂ + B₂·A₁.
        cross = math.sqrt(0.125) * 1.5 * (b1 @ a2 + b2 @ a1)
        torch.testing.assert_close(layer.get_delta_weight("linear"), ours + cross, atol=1e-5, rtol=0)
        crossed = max(crossed, float(cross.detach().abs().max() / ours.abs().max()))
        # Where its way is exact, it is ours.
        torch.testing.assert_close(layer.get_delta_weight("cat"), ours, atol=1e-5, rtol=0)
        torch.testing.assert_close(layer.get_delta_weight("first"), changes[name][0], atol=1e-5, rtol=0)
        if name.endswith(("k_proj", "v_proj")):  # 16 x 32: a rank of 16 cuts nothing off
            trimmed = combined(changes[name], Merge("ties", tuple(weights), density=0.3), name)
            torch.testing.assert_close(layer.get_delta_weight("ties"), trimmed, atol=1e-5, rtol=0)
    assert crossed > 0.5, "the cross terms are as large as what was asked for"


def test_a_base_in_bfloat16_is_merged_in_float32_and_stays_bfloat16(
    toy_folder: Path, adapter: Make, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    save_model(load_causal_lm(toy_folder, dtype="bfloat16"), load_tokenizer(toy_folder), small)
    one, two = adapter("one", 1, base=small), adapter("two", 2, base=small)
    found = merge_adapters([one, two], Merge())
    assert {p.dtype for p in found.model.parameters()} == {torch.bfloat16}
    base = load_causal_lm(small).state_dict()
    _, changes = deltas_of(small, [one, two])
    for name, (a, b) in changes.items():
        key = name.removeprefix("base_model.model.") + ".weight"
        assert torch.equal(found.model.state_dict()[key], (base[key] + a + b).bfloat16())


def test_sparsity_is_reported_of_each_adapter_and_of_the_result(adapter: Make) -> None:
    found = merge_adapters([adapter("one", 1), adapter("two", 2)], Merge("ties", density=0.25))
    assert [s.zero for s in found.adapters] == [0.0, 0.0]
    # Of two that keep a quarter each, between a quarter and a half of the entries are left.
    assert 0.5 <= found.result.zero <= 0.75
    dropped = merge_adapters([adapter("one", 1)], Merge("dare_linear", density=0.25)).result
    assert dropped.zero == pytest.approx(0.75, abs=0.01)
    assert dropped.mean == pytest.approx(found.adapters[0].mean, rel=0.05)


# ---- refused -------------------------------------------------------------------------------------------------------


def test_adapters_of_different_bases_are_refused(toy_folder: Path, adapter: Make, tmp_path: Path) -> None:
    shutil.copytree(toy_folder, tmp_path / "other")
    one, two = adapter("one"), adapter("two", base=tmp_path / "other")
    with pytest.raises(
        ModelError, match=r"two: it is an adapter of .*other, and .*one one of .*model\n  Only adapters"
    ):
        merge_adapters([one, two], Merge())


def test_adapters_of_different_layers_are_refused(adapter: Make) -> None:
    one, two = adapter("one"), adapter("two", target_modules=["q_proj", "v_proj"])
    with pytest.raises(ModelError, match=r"one changes `model.layers.0.mlp.down_proj`, and .*two does not"):
        merge_adapters([one, two], Merge())
    with pytest.raises(ModelError, match=r"one changes `model.layers.0.mlp.down_proj`, and .*two does not"):
        merge_adapters([two, one], Merge())


def test_what_is_more_than_plain_lora_is_refused(adapter: Make) -> None:
    one, two = adapter("one"), adapter("two")
    said = json.loads((two / "adapter_config.json").read_text())
    for changes, words in (
        ({"use_dora": True}, "it has use_dora = True"),
        ({"bias": "all"}, "it has bias = 'all'"),
        ({"init_lora_weights": "pissa_niter_4"}, "it has init_lora_weights = 'pissa_niter_4'"),
        ({"peft_type": "IA3"}, "it is a 'IA3' adapter"),
        ({"task_type": "SEQ_CLS"}, "of a reward model"),
    ):
        (two / "adapter_config.json").write_text(json.dumps(said | changes))
        with pytest.raises(ModelError, match=words):
            merge_adapters([one, two], Merge())


def test_damaged_weights_are_one_message(adapter: Make) -> None:
    one, two = adapter("one"), adapter("two")
    (two / "adapter_model.safetensors").write_bytes(b"junk")
    with pytest.raises(ModelError, match="two: its weights cannot be read"):
        merge_adapters([one, two], Merge())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"by": "slerp"}, "no merging by `slerp`\n  One of linear, ties, dare_linear, dare_ties"),
        ({"density": 0.0}, "density is 0.0"),
        ({"density": 1.5}, "density is 1.5"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        Merge(**settings)


def test_every_adapter_needs_its_weight(adapter: Make) -> None:
    with pytest.raises(UserError, match="3 weights for 2 adapters"):
        merge_adapters([adapter("one"), adapter("two")], Merge(weights=(1.0, 1.0, 1.0)))
