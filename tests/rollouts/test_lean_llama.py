import pytest
import torch

from truing.rollouts import lean_llama
from truing.rollouts.engine import fill_holes
from truing.rollouts.lean_llama import LeanEngine, Unfit, read_weights
from truing.rollouts.local import LocalRollouts, Sampling

STOP_IDS = frozenset({2, 7, 9, 40, 55, 81, 120, 200})


def logits_of(model, *sequences):
    with torch.no_grad():
        return torch.stack([model(torch.tensor([s])).logits[0, -1] for s in sequences])


def test_rows_of_different_age_and_prompt_each_get_the_models_own_logits(toy):
    model = toy("qwen3")
    engine = LeanEngine(read_weights(model, 20), max_rows=5, longest_prompt=6, max_new_tokens=4)
    long, short, late = [3, 4, 5, 6, 7, 8], [9], [10, 11, 12]

    def same(got, *sequences):
        torch.testing.assert_close(got, logits_of(model, *sequences), atol=1e-5, rtol=1e-5)

    (a, b), first = engine.prefill([long, short])
    same(first, long, short)
    engine.spawn([a, a, b])
    same(engine.step(torch.tensor([20, 21, 22])), [*long, 20], [*long, 21], [*short, 22])
    (c,), first = engine.prefill([late])
    same(first, late)
    engine.spawn([c, b])
    rows = [[*long, 20, 30], [*long, 21, 31], [*short, 22, 32], [*late, 33], [*short, 34]]
    same(engine.step(torch.tensor([30, 31, 32, 33, 34])), *rows)
    engine.move(fill_holes([0, 1], 5))  # the last two take the first two places; prompt `long` has no rows left
    engine.close(a)
    rows = [[*late, 33, 40], [*short, 34, 41], [*short, 22, 32, 42]]
    same(engine.step(torch.tensor([40, 41, 42])), *rows)


@pytest.mark.parametrize("max_batch", [128, 4])
def test_one_block_for_all_prompts_or_one_each_is_the_same(max_batch, toy, ragged, monkeypatch):
    def run():
        r = LocalRollouts(toy("llama"), stop_ids=STOP_IDS, pad_id=0, max_batch=max_batch)
        out = r.generate(ragged, 3, Sampling(max_new_tokens=16, seed=0))
        assert r.engine == "lean"
        return [[s.tokens for s in row] for row in out]

    together = run()
    monkeypatch.setattr(lean_llama, "_BLOCK_WASTE", -1)
    assert run() == together


def test_prompts_share_a_block_until_padding_costs_more(toy, monkeypatch):
    monkeypatch.setattr(lean_llama, "_BLOCK_WASTE", 10)
    engine = LeanEngine(read_weights(toy("llama"), 40), max_rows=8, longest_prompt=30, max_new_tokens=2)
    groups, _ = engine.prefill([[5] * 12, [5] * 30, [5] * 26, [5] * 10])
    engine.spawn([g for g in groups for _ in range(2)])
    engine.step(torch.tensor([5] * 8))
    # 30 and 26 waste 2 x 4 = 8; 12 beside them would waste 36 more; 12 and 10 waste 2 x 2 = 4.
    assert engine.members == [[groups[1], groups[2]], [groups[0], groups[3]]]
    assert [b.store.shape[4] for b in engine.blocks] == [30, 12]


@pytest.mark.parametrize("masked", [False, True])
def test_attention_in_products_equals_the_flash_kernel(masked):
    g = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(3, 2, n, 16, generator=g) for n in (4, 9, 9))
    mask = torch.zeros(3, 1, 1, 9).masked_fill_(
        torch.arange(9) >= torch.tensor([9, 4, 1])[:, None, None, None], -torch.inf
    )
    plain = lean_llama._plain_attention(q, k, v, mask if masked else None, 0.25)
    flash = lean_llama._attention(q, k, v, mask if masked else None, 0.25)
    for a, b in zip(plain, flash, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def test_what_a_device_without_the_flash_kernel_runs_is_the_same(toy, ragged, monkeypatch, greedy_reference):
    monkeypatch.setattr(lean_llama, "_attention", lean_llama._plain_attention)
    out = LocalRollouts(toy("llama"), stop_ids=STOP_IDS, pad_id=0, max_batch=4).generate(
        ragged, 2, Sampling(temperature=0, max_new_tokens=16)
    )
    assert [[s.tokens for s in row] for row in out] == [[greedy_reference(toy("llama"), p, 16)] * 2 for p in ragged]


def test_the_weights_are_the_models_own_tensors(toy):
    model = toy("llama")
    weights = read_weights(model, 20)
    assert weights.layers[0].q.weight is model.model.layers[0].self_attn.q_proj.weight
    assert weights.head.weight is model.lm_head.weight


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
