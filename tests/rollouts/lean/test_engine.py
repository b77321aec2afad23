import pytest
import torch

from truing.rollouts.engine import fill_holes
from truing.rollouts.lean import attention, prompts, weights
from truing.rollouts.lean.compiled import CompiledCache
from truing.rollouts.lean.engine import LeanEngine
from truing.rollouts.lean.plain import PlainCache
from truing.rollouts.lean.weights import read_weights
from truing.rollouts.local import LocalRollouts, Sampling

STOP_IDS = frozenset({2, 7, 9, 40, 55, 81, 120, 200})


@pytest.fixture(params=[CompiledCache, PlainCache])
def cache(request, monkeypatch):
    """What a CPU has for float32, and what every other device and type has."""
    if request.param is PlainCache:
        monkeypatch.setattr("truing.rollouts.lean.engine.fits", lambda *_: False)
    return request.param


def logits_of(model, *sequences):
    with torch.no_grad():
        return torch.stack([model(torch.tensor([s])).logits[0, -1] for s in sequences])


def test_rows_of_different_age_and_prompt_each_get_the_models_own_logits(toy, cache):
    model = toy("qwen3")
    engine = LeanEngine(read_weights(model, 20), max_rows=5, longest_prompt=6, max_new_tokens=4)
    assert type(engine.cache) is cache
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


@pytest.mark.parametrize("kind", ["llama", "llama3_rope", "qwen3"])
def test_some_layers_packed_and_others_not_is_the_same(kind, toy, ragged, monkeypatch, greedy_reference):
    for bound in (0, 128 * (64 + 32 + 64), 128 * (64 + 32 + 128 + 64 + 64), 2**29):
        monkeypatch.setattr(weights, "_PACKED_BYTES", bound)
        r = LocalRollouts(toy(kind), stop_ids=STOP_IDS, pad_id=0)
        out = r.generate(ragged, 2, Sampling(temperature=0, max_new_tokens=12))
        assert r.engine == "lean"
        assert [[s.tokens for s in row] for row in out] == [[greedy_reference(toy(kind), p, 12)] * 2 for p in ragged]


@pytest.mark.parametrize("max_batch", [128, 4])
def test_one_block_for_all_prompts_or_one_each_is_the_same(max_batch, toy, ragged, monkeypatch):
    monkeypatch.setattr("truing.rollouts.lean.engine.fits", lambda *_: False)

    def run():
        r = LocalRollouts(toy("llama"), stop_ids=STOP_IDS, pad_id=0, max_batch=max_batch)
        out = r.generate(ragged, 3, Sampling(max_new_tokens=16, seed=0))
        assert r.engine == "lean"
        return [[s.tokens for s in row] for row in out]

    together = run()
    monkeypatch.setattr(prompts, "_BLOCK_WASTE", -1)
    assert run() == together


def test_what_a_device_without_the_flash_kernel_runs_is_the_same(toy, ragged, monkeypatch, greedy_reference):
    monkeypatch.setattr("truing.rollouts.lean.engine.fits", lambda *_: False)
    monkeypatch.setattr(attention, "_flash", attention._plain)
    out = LocalRollouts(toy("llama"), stop_ids=STOP_IDS, pad_id=0, max_batch=4).generate(
        ragged, 2, Sampling(temperature=0, max_new_tokens=16)
    )
    assert [[s.tokens for s in row] for row in out] == [[greedy_reference(toy("llama"), p, 16)] * 2 for p in ragged]


@pytest.mark.parametrize("kind", ["llama", "llama3_rope", "qwen2", "qwen3", "mistral"])
def test_every_family_is_the_same_in_either_cache(kind, cache, toy, ragged, greedy_reference):
    out = LocalRollouts(toy(kind), stop_ids=STOP_IDS, pad_id=0, max_batch=5).generate(
        ragged, 2, Sampling(temperature=0, max_new_tokens=16)
    )
    assert [[s.tokens for s in row] for row in out] == [[greedy_reference(toy(kind), p, 16)] * 2 for p in ragged]


def test_several_threads_give_what_one_gives(toy, ragged, monkeypatch):
    monkeypatch.setattr("truing.rollouts.lean.elementwise.GRAIN", 1)
    monkeypatch.setattr("truing.rollouts.lean.compiled.GRAIN", 1)
    monkeypatch.setattr("truing.rollouts.draw._GRAIN", 1)
    before, said = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            r = LocalRollouts(toy("llama"), stop_ids=STOP_IDS, pad_id=0)
            said.append([[s.tokens for s in row] for row in r.generate(ragged, 4, Sampling(seed=0, max_new_tokens=16))])
    finally:
        torch.set_num_threads(before)
    assert said[0] == said[1]
