import torch

from truing.rollouts.lean import prompts
from truing.rollouts.lean.engine import LeanEngine
from truing.rollouts.lean.plain import PlainCache
from truing.rollouts.lean.weights import read_weights


def test_prompts_share_a_block_until_padding_costs_more(toy, monkeypatch):
    monkeypatch.setattr(prompts, "_BLOCK_WASTE", 10)
    monkeypatch.setattr("truing.rollouts.lean.engine.fits", lambda *_: False)
    engine = LeanEngine(read_weights(toy("llama"), 40), max_rows=8, longest_prompt=30, max_new_tokens=2)
    groups, _ = engine.prefill([[5] * 12, [5] * 30, [5] * 26, [5] * 10])
    engine.spawn([g for g in groups for _ in range(2)])
    engine.step(torch.tensor([5] * 8))
    # 30 and 26 waste 2 x 4 = 8; 12 beside them would waste 36 more; 12 and 10 waste 2 x 2 = 4.
    assert isinstance(engine.cache, PlainCache)
    assert engine.cache.prompts.members == [[groups[1], groups[2]], [groups[0], groups[3]]]
    assert [b.store.shape[4] for b in engine.cache.prompts.blocks] == [30, 12]
