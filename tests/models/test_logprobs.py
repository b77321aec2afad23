from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import log
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from truing.errors import ModelError
from truing.models.logprobs import Head, head_of, token_logprobs

N, H, V = 11, 6, 13


def inputs(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    hidden, weight, bias = (torch.randn(s, generator=draw, dtype=dtype) for s in ((N, H), (V, H), (V,)))
    targets = torch.randint(0, V, (N,), generator=draw)
    return hidden.requires_grad_(), weight.requires_grad_(), bias.requires_grad_(), targets


def plain(
    hidden: Tensor, weight: Tensor, targets: Tensor, bias: Tensor | None = None, scale: float = 1.0,
    softcap: float | None = None, temperature: float = 1.0,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    logits = torch.nn.functional.linear(hidden, weight, bias) * scale
    if softcap is not None:
        logits = torch.tanh(logits / softcap) * softcap
    logs = (logits / temperature).log_softmax(-1)
    return logs.gather(1, targets[:, None]).squeeze(1), -(logs.exp() * logs).sum(-1)


FORMS: list[dict[str, float]] = [
    {},
    {"temperature": 0.7},
    {"scale": 0.25},
    {"softcap": 1.5},
    {"scale": 2.0, "softcap": 1.5, "temperature": 1.3},
]


def test_equal_logits_share_the_probability():
    logprobs, entropies = token_logprobs(torch.zeros(1, 2), torch.ones(4, 2), torch.tensor([3]), entropy=True)
    assert logprobs.tolist() == pytest.approx([-log(4)])
    assert entropies.tolist() == pytest.approx([log(4)])


def test_a_logit_of_log_3_against_one_of_0_has_three_quarters():
    hidden, weight = torch.tensor([[log(3)]]), torch.tensor([[1.0], [0.0]])
    assert token_logprobs(hidden, weight, torch.tensor([0])).exp().item() == pytest.approx(0.75)
    assert token_logprobs(hidden, weight, torch.tensor([0]), temperature=0.5).exp().item() == pytest.approx(0.9)
    bias = torch.tensor([0.0, log(3)])
    assert token_logprobs(hidden, weight, torch.tensor([0]), bias=bias).exp().item() == pytest.approx(0.5)


@pytest.mark.parametrize("chunk", [1, 4, 100])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_values_and_gradients_are_those_of_a_full_log_softmax(form: dict[str, float], with_bias: bool, chunk: int):
    (h1, w1, b1, targets), (h2, w2, b2, _) = inputs(torch.float64), inputs(torch.float64)
    ours = token_logprobs(h1, w1, targets, bias=b1 if with_bias else None, chunk=chunk, entropy=True, **form)
    theirs = plain(h2, w2, targets, b2 if with_bias else None, **form)
    factors = torch.randn(2, N, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for found, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(found, expected)
    for values in (ours, theirs):
        (values[0] * factors[0] + values[1] * factors[1]).sum().backward()
    for a, b in ((h1, h2), (w1, w2), (b1, b2)):
        torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_frozen_head_gives_hidden_states_the_same_gradient(form: dict[str, float]):
    (h1, weight, bias, targets), (h2, *_) = inputs(torch.float64), inputs(torch.float64)
    weight, bias = weight.detach(), bias.detach()
    factors = torch.linspace(-1, 2, N, dtype=torch.float64)
    (token_logprobs(h1, weight, targets, bias=bias, chunk=4, **form) * factors).sum().backward()
    (plain(h2, weight, targets, bias, **form)[0] * factors).sum().backward()
    torch.testing.assert_close(h1.grad, h2.grad)


@pytest.mark.parametrize("entropy", [False, True])
def test_gradients_pass_gradcheck(entropy: bool):
    hidden, weight, bias, targets = inputs(torch.float64)

    def function(h: Tensor, w: Tensor, b: Tensor) -> Any:
        return token_logprobs(h, w, targets, bias=b, softcap=2.0, temperature=0.8, chunk=4, entropy=entropy)

    assert torch.autograd.gradcheck(function, (hidden, weight, bias))


def test_only_the_entropy_may_be_asked_for_a_gradient():
    (h1, w1, _, targets), (h2, w2, _, _) = inputs(torch.float64), inputs(torch.float64)
    token_logprobs(h1, w1, targets, chunk=4, entropy=True)[1].sum().backward()
    plain(h2, w2, targets)[1].sum().backward()
    torch.testing.assert_close(h1.grad, h2.grad)
    torch.testing.assert_close(w1.grad, w2.grad)


def test_bfloat16_weights_give_float32_logprobs_and_bfloat16_gradients():
    hidden, weight, _, targets = inputs()
    h, w = (t.detach().bfloat16().requires_grad_() for t in (hidden, weight))
    found = token_logprobs(h, w, targets, chunk=4)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, plain(h.float(), w.float(), targets)[0], atol=0.05, rtol=0.02)
    found.sum().backward()
    assert h.grad is not None
    assert w.grad is not None
    assert h.grad.dtype == w.grad.dtype == torch.bfloat16


def test_under_autocast_products_are_bfloat16_and_gradients_come_back_in_float32():
    hidden, weight, _, targets = inputs()
    with torch.autocast("cpu", torch.bfloat16):
        found = token_logprobs(hidden, weight, targets)
    found.sum().backward()
    assert found.dtype == torch.float32
    assert weight.grad is not None
    assert weight.grad.dtype == torch.float32
    torch.testing.assert_close(found, plain(hidden, weight, targets)[0], atol=0.05, rtol=0.02)


def test_no_target_at_all_is_an_empty_stream():
    hidden, weight, _, _ = inputs()
    found = token_logprobs(hidden[:0], weight, torch.zeros(0, dtype=torch.long))
    found.sum().backward()
    assert found.shape == (0,)
    assert weight.grad is not None
    assert weight.grad.abs().sum() == 0


def test_very_large_logits_stay_finite():
    hidden, weight = torch.tensor([[1e4]]), torch.tensor([[1.0], [-1.0]])
    found, entropies = token_logprobs(hidden, weight, torch.tensor([1]), entropy=True)
    assert found.item() == -2e4
    assert entropies.item() == 0


class Largest(TorchDispatchMode):
    """The most numbers in any tensor with rows as long as the vocabulary that an operation returned."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.vocabulary, self.rows = vocabulary, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, Tensor) and tensor.dim() and tensor.shape[-1] == self.vocabulary:
                self.rows = max(self.rows, tensor.numel() // self.vocabulary)
        return out


@contextmanager
def largest(vocabulary: int) -> Iterator[Largest]:
    with Largest(vocabulary) as mode:
        yield mode


@pytest.mark.parametrize("entropy", [False, True])
@pytest.mark.parametrize("frozen", [False, True])
def test_logits_of_all_tokens_never_exist_at_once(frozen: bool, entropy: bool):
    size, vocabulary = 1000, 257
    hidden = torch.randn(size, 8, requires_grad=True)
    weight = torch.randn(vocabulary, 8, requires_grad=not frozen)
    targets = torch.randint(0, vocabulary, (size,))
    with largest(vocabulary) as mode:
        found = token_logprobs(hidden, weight, targets, chunk=50, entropy=entropy)
        (sum(found) if isinstance(found, tuple) else found).sum().backward()
    assert 0 < mode.rows <= 50
    with largest(vocabulary) as mode:  # and the meter does see the plain way
        plain(hidden, weight, targets)
    assert mode.rows == size


@pytest.mark.parametrize(
    ("family", "more", "scale", "softcap"),
    [
        ("llama", {}, 1.0, None),
        ("phi", {}, 1.0, None),
        ("cohere", {}, 0.25, None),
        ("granite", {}, 0.25, None),
        ("gemma2", {"final_logit_softcapping": 3.0}, 1.0, 3.0),
        ("opt", {}, 1.0, None),
    ],
)
def test_the_head_of_a_model_gives_the_models_own_logits(
    toy: SimpleNamespace, family: str, more: dict[str, float], scale: float, softcap: float | None
):
    model = toy.model(family, **more).eval()
    head = head_of(model)
    assert (head.scale, head.softcap) == (scale, softcap)
    token_ids = torch.arange(3, 10)[None]
    hidden = model.get_decoder()(token_ids, use_cache=False).last_hidden_state[0]
    logits = model(token_ids, use_cache=False).logits[0]
    torch.testing.assert_close(head.logits(hidden), logits, atol=1e-5, rtol=1e-5)
    expected = logits.log_softmax(-1)[:, 5]
    torch.testing.assert_close(head.logprobs(hidden, torch.full((7,), 5)), expected, atol=1e-5, rtol=1e-5)


def test_a_way_to_logits_that_nobody_knows_is_refused(toy: SimpleNamespace):
    model = toy.model("llama")
    forward = model.forward

    def cubed(*args: Any, **kwargs: Any) -> Any:
        out = forward(*args, **kwargs)
        out.logits = out.logits**3
        return out

    model.forward = cubed
    with pytest.raises(ModelError, match="do not reproduce them"):
        head_of(model)


def test_a_model_without_a_language_model_head_is_refused(toy: SimpleNamespace):
    with pytest.raises(ModelError, match="LlamaModel has no language-model head"):
        head_of(toy.model("llama").model)


@pytest.mark.parametrize("entropy", [False, True])
def test_a_head_that_is_no_plain_linear_layer_is_called_chunk_by_chunk(entropy: bool):
    class Adapted(torch.nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + x.sum(-1, keepdim=True) * self.slope

    hidden, _, _, targets = inputs()
    layer = Adapted(H, V)
    layer.slope = torch.nn.Parameter(torch.linspace(0, 1, V))
    head = Head(layer, scale=0.5)
    assert not head.plain
    found = head.logprobs(hidden, targets, temperature=0.8, entropy=entropy)
    expected = plain(hidden, layer.weight + layer.slope[:, None], targets, layer.bias, scale=0.5, temperature=0.8)
    for a, b in zip(found if isinstance(found, tuple) else (found,), expected, strict=False):
        torch.testing.assert_close(a, b)
    (found[0] if isinstance(found, tuple) else found).sum().backward()
    assert layer.slope.grad is not None
    assert head.logprobs(hidden[:0], targets[:0]).shape == (0,)
