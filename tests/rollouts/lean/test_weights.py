import pytest
import torch

from truing.models import products
from truing.rollouts.lean.weights import Unfit, read_weights
from truing.rollouts.local import LocalRollouts, Sampling

STOP_IDS = frozenset({2, 7, 9, 40, 55, 81, 120, 200})


def test_the_weights_are_the_models_own_tensors(toy):
    model = toy("llama")
    weights = read_weights(model, 20)
    assert weights.layers[0].qkv.parts[0].weight is model.model.layers[0].self_attn.q_proj.weight
    assert weights.head.parts[0].weight is model.lm_head.weight


def test_a_window_that_is_not_reached_does_not_matter(toy):
    read_weights(toy("mistral_window"), 7)
    with pytest.raises(Unfit, match="a sliding window of 7 for 8 tokens"):
        read_weights(toy("mistral_window"), 8)


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neox", "gemma", "olmo2", "phi"])
def test_other_families_are_recognised(kind, toy):
    with pytest.raises(Unfit, match="model type"):
        read_weights(toy(kind), 20)


def test_a_hooked_a_quantised_and_a_mixed_model_are_left_alone(fresh):
    hooked, replaced, mixed = (fresh("llama") for _ in range(3))
    hooked.model.layers[1].mlp.register_forward_hook(lambda *_: None)
    replaced.model.layers[1].mlp.up_proj = torch.nn.Sequential(torch.nn.Linear(32, 64))
    mixed.model.layers[1].mlp.bfloat16()
    for model, reason in ((hooked, "hooks on"), (replaced, "a Sequential where"), (mixed, "weights of several types")):
        with pytest.raises(Unfit, match=reason):
            read_weights(model, 20)


def test_under_autocast_the_model_runs_as_it_would_itself(toy, ragged):
    r = LocalRollouts(toy("llama"), stop_ids=STOP_IDS, pad_id=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        r.generate(ragged[:2], 1, Sampling(max_new_tokens=3))
    assert r.engine == "generic: autocast"


def test_a_model_whose_linear_layers_were_exchanged_for_faster_ones_is_read(fresh, ragged, greedy_reference):
    model = fresh("llama")
    for module in model.modules():
        if type(module) is torch.nn.Linear:
            module.__class__ = products.Linear
    r = LocalRollouts(model, stop_ids=STOP_IDS, pad_id=0)
    out = r.generate(ragged, 2, Sampling(temperature=0, max_new_tokens=12))
    assert r.engine == "lean"
    assert [[s.tokens for s in row] for row in out] == [[greedy_reference(model, p, 12)] * 2 for p in ragged]
