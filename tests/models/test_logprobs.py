"""Everything that is read off chunks of logits: log-probabilities, entropies, divergences, and the head itself."""

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
from truing.models.divergence import collision_logprobs, token_kl
from truing.models.head import Head, head_of
from truing.models.logits import lent
from truing.models.logprobs import token_logprobs

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


@pytest.mark.parametrize("keep", [0, N])
@pytest.mark.parametrize("chunk", [1, 4, 100])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_gradients_are_those_of_a_full_log_softmax_kept_or_made_again(
    form: dict[str, float], with_bias: bool, chunk: int, keep: int
):
    (h1, w1, b1, targets), (h2, w2, b2, _) = inputs(torch.float64), inputs(torch.float64)
    factors = torch.linspace(-1, 2, N, dtype=torch.float64)
    ours = token_logprobs(h1, w1, targets, bias=b1 if with_bias else None, chunk=chunk, keep=keep, **form)
    theirs, _ = plain(h2, w2, targets, b2 if with_bias else None, **form)
    torch.testing.assert_close(ours, theirs)
    for values in (ours, theirs):
        (values * factors).sum().backward()
    for a, b in ((h1, h2), (w1, w2), (b1, b2)):
        torch.testing.assert_close(a.grad, b.grad)


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


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("keep", [0, N])
@pytest.mark.parametrize("chunk", [4, 100])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_in_float32_values_and_gradients_are_double_precisions_to_rounding(
    form: dict[str, float], chunk: int, keep: int, frozen: bool
):
    ours, theirs = inputs(), [t.detach().double().requires_grad_() for t in inputs()[:3]]
    h1, w1, b1, targets = ours
    if frozen:
        w1, b1 = w1.detach(), b1.detach()
    found = token_logprobs(h1, w1, targets, bias=b1, chunk=chunk, keep=keep, **form)
    expected, _ = plain(theirs[0], theirs[1], targets, theirs[2], **form)
    torch.testing.assert_close(found.double(), expected, atol=2e-6, rtol=2e-6)
    with torch.no_grad():
        again = token_logprobs(h1, w1, targets, bias=b1, chunk=chunk, **form)
    torch.testing.assert_close(again.double(), expected, atol=2e-6, rtol=2e-6)
    factors = torch.linspace(-1, 2, N)
    (found * factors).sum().backward()
    (expected * factors).sum().backward()
    for a, b in zip((h1,) if frozen else (h1, w1, b1), theirs, strict=False):
        assert a.grad is not None
        torch.testing.assert_close(a.grad.double(), b.grad, atol=5e-6, rtol=5e-6)


@pytest.mark.parametrize("keep", [0, N])
def test_a_token_that_a_bias_of_minus_infinity_rules_out_has_no_share_and_no_gradient(keep: int):
    hidden, weight, bias, targets = inputs()
    bias = bias.detach().clone()
    bias[5] = -torch.inf
    bias.requires_grad_()
    targets = torch.where(targets == 5, 4, targets)
    found = token_logprobs(hidden, weight, targets, bias=bias, chunk=4, keep=keep)
    torch.testing.assert_close(found, plain(hidden, weight, targets, bias)[0])
    found.sum().backward()
    for gradient in (hidden.grad, weight.grad, bias.grad):
        assert gradient is not None
        assert gradient.isfinite().all()
    assert weight.grad is not None
    assert (weight.grad[5] == 0).all()
    ruled_out = token_logprobs(hidden, weight, torch.full((N,), 5), bias=bias, keep=keep)
    assert (ruled_out == -torch.inf).all()


@pytest.mark.parametrize("grad", [False, True])
def test_a_logit_that_is_no_number_makes_its_own_row_none_and_no_other(grad: bool):
    hidden, weight, _, targets = inputs()
    hidden = hidden.detach().clone()
    hidden[3, 2] = torch.nan
    found = token_logprobs(hidden.requires_grad_(grad), weight.detach().requires_grad_(grad), targets, chunk=4)
    assert found.isnan().tolist() == [row == 3 for row in range(N)]


def test_a_target_outside_of_the_vocabulary_is_an_error_and_no_memory_of_others():
    hidden, weight, _, targets = inputs()
    targets[4] = V
    with pytest.raises(RuntimeError, match="out of bounds"):
        token_logprobs(hidden, weight, targets)


def test_kept_probabilities_serve_the_first_way_back_and_the_second_makes_them_again():
    hidden, weight, _, targets = inputs(torch.float64)
    found = token_logprobs(hidden, weight, targets, keep=N).sum()
    first = torch.autograd.grad(found, (hidden, weight), retain_graph=True)
    again = torch.autograd.grad(found, (hidden, weight))
    for a, b in zip(first, again, strict=True):
        torch.testing.assert_close(a, b)


def test_two_heads_at_once_do_not_keep_their_probabilities_in_the_same_memory():
    (h1, w1, _, targets), (h2, w2, _, _) = inputs(torch.float64), inputs(torch.float64)
    one = token_logprobs(h1, w1, targets, keep=N)
    two = token_logprobs(h1, w1, targets, temperature=0.5, keep=N)
    (one.sum() + 2 * two.sum()).backward()
    (plain(h2, w2, targets)[0].sum() + 2 * plain(h2, w2, targets, temperature=0.5)[0].sum()).backward()
    torch.testing.assert_close(h1.grad, h2.grad)
    torch.testing.assert_close(w1.grad, w2.grad)


def test_nothing_is_kept_where_nothing_is_trained():
    hidden, weight, _, targets = inputs()
    with torch.no_grad():
        token_logprobs(hidden, weight, targets, keep=N)
    first = lent(N, V, weight)
    second = lent(N, V, weight)  # while the first is held
    assert first.data_ptr() != second.data_ptr()
    address = first.data_ptr()
    del first, second
    token_logprobs(hidden, weight, targets, keep=N).sum().backward()
    assert lent(N, V, weight).data_ptr() == address  # given back, and the same memory


def test_a_sure_prediction_in_bfloat16_keeps_its_small_gradient():
    # p = 0.999: rounded to bfloat16 it is 1, and 1 − p would be 0
    hidden = torch.tensor([[1.0]], dtype=torch.bfloat16, requires_grad=True)
    weight = torch.tensor([[6.90625], [0.0]], dtype=torch.bfloat16)
    bias = torch.zeros(2, dtype=torch.bfloat16, requires_grad=True)
    for keep in (0, 1):
        (gradient,) = torch.autograd.grad(token_logprobs(hidden, weight, torch.tensor([0]), bias=bias, keep=keep), bias)
        assert gradient[0].item() == pytest.approx(0.001, rel=0.02)


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
        found = token_logprobs(hidden, weight, targets, chunk=50, keep=0, entropy=entropy)
        (sum(found) if isinstance(found, tuple) else found).sum().backward()
    assert 0 < mode.rows <= 50
    with largest(vocabulary) as mode:  # and the meter does see the plain way
        plain(hidden, weight, targets)
    assert mode.rows == size


def inputs_of_reference(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """A wider reference with the same vocabulary: hidden states [N, H + 2], weight, bias."""
    draw = torch.Generator().manual_seed(7)
    made = [torch.randn(s, generator=draw, dtype=dtype) for s in ((N, H + 2), (V, H + 2), (V,))]
    return made[0], made[1], made[2]


def plain_logs(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, scale: float, softcap: float | None, temperature: float
) -> Tensor:
    logits = torch.nn.functional.linear(hidden, weight, bias) * scale
    return ((logits if softcap is None else torch.tanh(logits / softcap) * softcap) / temperature).log_softmax(-1)


def plain_kl(hidden: Tensor, weight: Tensor, bias: Tensor | None, **form: Any) -> Tensor:
    """KL from the reference of `inputs_of_reference`, all logits at once."""
    ref_hidden, ref_weight, ref_bias = inputs_of_reference(hidden.dtype)
    scale, softcap = form.get("scale", (1.0, 1.0)), form.get("softcap", (None, None))
    temperature = form.get("temperature", 1.0)
    logs = plain_logs(hidden, weight, bias, scale[0], softcap[0], temperature)
    ref_logs = plain_logs(ref_hidden, ref_weight, None if bias is None else ref_bias, scale[1], softcap[1], temperature)
    return (ref_logs.exp() * (ref_logs - logs)).sum(-1)


KL_FORMS: list[dict[str, Any]] = [
    {},
    {"temperature": 0.7},
    {"scale": (0.25, 2.0)},
    {"softcap": (1.5, None)},
    {"scale": (2.0, 0.5), "softcap": (1.5, 3.0), "temperature": 1.3},
]


def test_the_kl_of_one_half_from_three_quarters_is_known():
    # q = (3/4, 1/4), p = (1/2, 1/2): 3/4 log 3/2 + 1/4 log 1/2
    weight = torch.tensor([[1.0], [0.0]])
    found = token_kl(torch.tensor([[0.0]]), weight, torch.tensor([[log(3)]]), weight)
    assert found.item() == pytest.approx(0.75 * log(1.5) + 0.25 * log(0.5))
    assert token_kl(torch.tensor([[0.3]]), weight, torch.tensor([[0.3]]), weight).item() == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("chunk", [1, 4, 100])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("form", KL_FORMS, ids=str)
def test_the_kl_and_its_gradients_are_those_of_full_distributions(form: dict[str, Any], with_bias: bool, chunk: int):
    (h1, w1, b1, _), (h2, w2, b2, _) = inputs(torch.float64), inputs(torch.float64)
    ref_hidden, ref_weight, ref_bias = inputs_of_reference()
    biases = {"bias": b1, "ref_bias": ref_bias} if with_bias else {}
    ours = token_kl(h1, w1, ref_hidden, ref_weight, chunk=chunk, **biases, **form)
    theirs = plain_kl(h2, w2, b2 if with_bias else None, **form)
    torch.testing.assert_close(ours, theirs)
    assert (ours > 0.1).any(), "a divergence that is nearly nothing proves nothing"
    factors = torch.linspace(-1, 2, N, dtype=torch.float64)
    (ours * factors).sum().backward()
    (theirs * factors).sum().backward()
    for a, b in ((h1, h2), (w1, w2), (b1, b2)):
        torch.testing.assert_close(a.grad, b.grad)


def test_the_gradient_of_the_kl_passes_gradcheck_and_does_not_reach_the_reference():
    hidden, weight, bias, _ = inputs(torch.float64)
    reference = [t.requires_grad_() for t in inputs_of_reference()]

    def function(h: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return token_kl(
            h, w, reference[0], reference[1], bias=b, ref_bias=reference[2],
            softcap=(2.0, 1.0), scale=(1.0, 0.5), temperature=0.8, chunk=4,
        )  # fmt: skip

    assert torch.autograd.gradcheck(function, (hidden, weight, bias))
    function(hidden, weight, bias).sum().backward()
    assert all(t.grad is None for t in reference)


def test_the_kl_with_a_frozen_head_reaches_the_hidden_states_only():
    (h1, weight, _, _), (h2, *_) = inputs(torch.float64), inputs(torch.float64)
    ref_hidden, ref_weight, _ = inputs_of_reference()
    token_kl(h1, weight.detach(), ref_hidden, ref_weight, chunk=4).sum().backward()
    plain_kl(h2, weight.detach(), None).sum().backward()
    torch.testing.assert_close(h1.grad, h2.grad)


def test_the_kl_in_bfloat16_and_under_autocast_is_float32():
    hidden, weight, _, _ = inputs()
    ref_hidden, ref_weight, _ = inputs_of_reference(torch.float32)
    expected = plain_kl(hidden, weight, None)
    low = [t.detach().bfloat16() for t in (hidden, weight, ref_hidden, ref_weight)]
    with torch.autocast("cpu", torch.bfloat16):
        found = token_kl(hidden, weight, ref_hidden, ref_weight)
    found.sum().backward()
    for kl in (token_kl(*low), found):
        assert kl.dtype == torch.float32
        torch.testing.assert_close(kl, expected, atol=0.05, rtol=0.02)
    assert weight.grad is not None
    assert weight.grad.dtype == torch.float32
    assert token_kl(hidden[:0], weight, ref_hidden[:0], ref_weight).shape == (0,)


def test_two_draws_agree_surely_where_the_next_token_is_certain_and_one_time_in_v_where_nothing_is_known():
    weight = torch.tensor([[1.0], [-1.0]])
    assert collision_logprobs(torch.tensor([[1e4]]), weight).item() == 0
    assert collision_logprobs(torch.zeros(1, 2), torch.ones(4, 2)).item() == pytest.approx(-log(4))
    # (3/4)² + (1/4)² = 5/8
    assert collision_logprobs(torch.tensor([[log(3) / 2]]), weight).exp().item() == pytest.approx(5 / 8)
    assert collision_logprobs(torch.tensor([[log(3)]]), weight, temperature=2.0).exp().item() == pytest.approx(5 / 8)


@pytest.mark.parametrize("chunk", [1, 4, 100])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_collisions_are_those_of_full_distributions(form: dict[str, float], chunk: int):
    hidden, weight, bias, _ = inputs(torch.float64)
    found = collision_logprobs(hidden, weight, bias=bias, chunk=chunk, **form)
    logs = plain_logs(hidden, weight, bias, form.get("scale", 1.0), form.get("softcap"), form.get("temperature", 1.0))
    torch.testing.assert_close(found, logs.exp().square().sum(-1).log().detach())
    assert not found.requires_grad


def test_distributions_over_all_tokens_never_exist_at_once():
    size, vocabulary = 1000, 257
    hidden = torch.randn(size, 8, requires_grad=True)
    weight = torch.randn(vocabulary, 8, requires_grad=True)
    with largest(vocabulary) as mode:
        token_kl(hidden, weight, hidden.detach() + 0.1, weight.detach(), chunk=50).sum().backward()
        collision_logprobs(hidden, weight, chunk=50)
    assert 0 < mode.rows <= 50


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


def test_a_head_with_something_in_it_gives_the_same_kl_and_collisions_chunk_by_chunk():
    class Adapted(torch.nn.Linear):
        active = True

        def forward(self, x: Tensor) -> Tensor:
            more = x.sum(-1, keepdim=True) * self.slope
            return super().forward(x) + more if self.active else super().forward(x)

    @contextmanager
    def switched_off() -> Iterator[None]:
        layer.active = False
        try:
            yield
        finally:
            layer.active = True

    (h1, _, _, _), (h2, _, _, _) = inputs(), inputs()
    layer = Adapted(H, V)
    layer.slope = torch.nn.Parameter(torch.linspace(0, 1, V))
    head = Head(layer, scale=0.5)
    found = head.kl_from(head, h1, h1.detach() + 1, temperature=0.8, active=switched_off)
    logs = plain_logs(h2, layer.weight + layer.slope[:, None], layer.bias, 0.5, None, 0.8)
    ref_logs = plain_logs(h2.detach() + 1, layer.weight, layer.bias, 0.5, None, 0.8).detach()
    torch.testing.assert_close(found, (ref_logs.exp() * (ref_logs - logs)).sum(-1))
    torch.testing.assert_close(head.collision_logprobs(h1, temperature=0.8), (2 * logs).logsumexp(-1).detach())
    parameters = (layer.weight, layer.slope, layer.bias)
    ours = torch.autograd.grad(found.sum(), (h1, *parameters))
    theirs = torch.autograd.grad((ref_logs.exp() * (ref_logs - logs)).sum(), (h2, *parameters))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
    assert head.kl_from(head, h1[:0], h1[:0]).shape == (0,)


def test_a_reference_with_another_vocabulary_is_refused():
    head, other = Head(torch.nn.Linear(H, V)), Head(torch.nn.Linear(H, V + 3))
    with pytest.raises(ModelError, match="the policy knows 13 tokens and the reference 16"):
        head.kl_from(other, torch.zeros(1, H), torch.zeros(1, H))
