import pytest
import torch

from truing.rollouts.lean import weights
from truing.rollouts.lean.projections import Linear, Projection
from truing.rollouts.lean.weights import read_weights


def layers(lora: bool):
    g = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=g)

    thin = ((random(2, 24), random(8, 2), 0.5),) if lora else ()
    return Linear(random(8, 24), None, thin), Linear(random(4, 24), random(4)), Linear(random(4, 24), None)


@pytest.mark.parametrize("num_rows", [1, 2, 40])
@pytest.mark.parametrize("lora", [False, True])
def test_layers_side_by_side_give_what_each_gives_packed_or_not(num_rows, lora):
    parts = layers(lora)
    x = torch.randn(num_rows, 24, generator=torch.Generator().manual_seed(1))
    expected = [torch.nn.functional.linear(x, p.weight, p.bias) for p in parts]
    if lora:
        ((a, b, scaling),) = parts[0].lora
        expected[0] = expected[0] + scaling * (x @ a.T @ b.T)
    together = Projection(parts)
    for projection in (together, together.packed()):
        with torch.inference_mode():
            torch.testing.assert_close(projection(x), torch.cat(expected, -1), atol=1e-5, rtol=1e-5)


def test_unpacked_weights_are_the_live_ones():
    (_, _, part) = layers(lora=False)
    projection, x = Projection((part,)), torch.ones(2, 24)
    before = projection(x)
    part.weight.mul_(2)
    torch.testing.assert_close(projection(x), 2 * before)


def test_packed_weights_are_those_of_the_moment():
    (_, _, part) = layers(lora=False)
    projection, x = Projection((part,)).packed(), torch.ones(2, 24)
    before = projection(x)
    part.weight.mul_(2)
    torch.testing.assert_close(projection(x), before)


def test_no_more_than_the_bound_is_copied(toy, monkeypatch):
    live = read_weights(toy("llama"), 20)
    # A layer of the toy: q, k, v 64 x 32, o 32 x 32, gate and up 128 x 32, down 32 x 64; the head 300 x 32.
    assert [p.num_bytes // 128 for p in live.projections] == [64, 32, 128, 64] * 2 + [300]
    monkeypatch.setattr(weights, "_PACKED_BYTES", 128 * (64 + 32 + 128 + 64 + 100))
    assert [p.copy is not None for p in live.packed().projections] == [True] * 4 + [True, True, False, False, False]


def test_what_is_not_float32_is_not_copied():
    part = Linear(torch.ones(4, 8, dtype=torch.bfloat16), None)
    assert not Projection((part,)).packable
