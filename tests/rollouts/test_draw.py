import math

import pytest
import torch
from scipy.stats import chisquare
from transformers import MinPLogitsWarper, RepetitionPenaltyLogitsProcessor, TopKLogitsWarper, TopPLogitsWarper

from truing.rollouts.draw import inverse_cdf, next_tokens, noise, penalised, truncated
from truing.rollouts.sampling import Sampling

HALVES = torch.tensor([[0.5, 0.25, 0.125, 0.125]])


def logits(vocab: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(1, vocab, generator=torch.Generator().manual_seed(seed)) * 2


def test_uniform_numbers_of_a_seed_are_the_same_in_any_company_and_length():
    assert torch.equal(noise([3, 4, 5], 20)[1, :7], noise([4], 7)[0])
    assert not torch.equal(noise([3], 7), noise([4], 7))


@pytest.mark.parametrize(("u", "index"), [(0.0, 0), (0.49, 0), (0.5, 1), (0.74, 1), (0.75, 2), (0.999999, 3)])
def test_inverse_cdf_by_hand(u, index):
    assert inverse_cdf(HALVES, torch.tensor([u], dtype=torch.float64)).item() == index


@pytest.mark.parametrize("size", [1, 127, 128, 129, 1000])
def test_inverse_cdf_agrees_with_a_plain_running_sum_for_any_size(size):
    weights = torch.rand(50, size, generator=torch.Generator().manual_seed(size))
    u = torch.rand(50, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    running = weights.double().cumsum(1)
    plain = torch.searchsorted(running, u[:, None] * running[:, -1:], right=True).squeeze(1)
    assert torch.equal(inverse_cdf(weights, u), plain)


@pytest.mark.parametrize("u", [0.0, 0.3, 1 - 2**-53])
def test_a_token_of_weight_zero_is_never_drawn(u):
    weights = torch.zeros(1, 400)
    weights[0, [131, 260]] = torch.tensor([0.3, 0.7])
    assert inverse_cdf(weights, torch.tensor([u], dtype=torch.float64)).item() in (131, 260)


def test_the_rarest_token_can_still_be_drawn():
    weights = torch.full((1, 1000), 1e-9)
    weights[0, 0] = 1.0
    assert inverse_cdf(weights, torch.tensor([1 - 1e-10], dtype=torch.float64)).item() > 0


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(top_p=0.9), Sampling(min_p=0.1), Sampling(temperature=0)])
@pytest.mark.parametrize("vocab", [100, 128, 1000])
def test_a_row_that_is_not_finite_has_a_logprob_that_is_not_a_number_and_harms_no_other(vocab, sampling):
    z = logits(vocab).repeat(3, 1)
    z[0, 7], z[1] = torch.nan, torch.inf
    tokens, logprobs = next_tokens(z, torch.full((3,), 0.5, dtype=torch.float64), sampling)
    assert logprobs.isnan().tolist() == [True, True, False]
    alone = next_tokens(z[2:], torch.tensor([0.5], dtype=torch.float64), sampling)
    assert (tokens[2], logprobs[2]) == (alone[0][0], alone[1][0])
    assert 0 <= tokens.min() <= tokens.max() < vocab


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_logprobs_are_those_of_a_log_softmax_for_likely_and_rare_tokens(temperature):
    z = logits(1000).repeat(500, 1)
    u = torch.linspace(0, 1 - 1e-12, 500, dtype=torch.float64)
    tokens, logprobs = next_tokens(z, u, Sampling(temperature=temperature))
    expected = (z.double() / temperature).log_softmax(-1).gather(1, tokens[:, None]).squeeze(1)
    assert tokens.unique().numel() > 10
    torch.testing.assert_close(logprobs.double(), expected, atol=2e-6, rtol=1e-6)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(),
        Sampling(temperature=0.5),
        Sampling(top_k=5),
        Sampling(top_p=0.8),
        Sampling(min_p=0.2),
        Sampling(temperature=1.5, top_k=8, top_p=0.9, min_p=0.05),
    ],
)
def test_drawn_frequencies_match_the_probabilities_of_transformers_warpers(sampling):
    z, draws = logits(20), 20_000
    expected = z / sampling.temperature
    if sampling.top_k:
        expected = TopKLogitsWarper(sampling.top_k)(None, expected)
    if sampling.top_p < 1:
        expected = TopPLogitsWarper(sampling.top_p)(None, expected)
    if sampling.min_p:
        expected = MinPLogitsWarper(sampling.min_p)(None, expected)
    expected = expected.softmax(-1)[0].double()
    u = torch.rand(draws, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    tokens, _ = next_tokens(z.expand(draws, -1), u, sampling)
    counts = torch.bincount(tokens, minlength=20)
    assert counts[expected == 0].sum() == 0
    common = expected * draws >= 5
    rest = draws - counts[common].sum()
    observed = torch.cat([counts[common], rest[None]]) if rest else counts[common]
    shares = torch.cat([expected[common], 1 - expected[common].sum()[None]]) if rest else expected[common]
    assert chisquare(observed.numpy(), (shares / shares.sum() * draws).numpy()).pvalue > 1e-3


@pytest.mark.parametrize("sampling", [Sampling(top_p=0.999), Sampling(top_p=0.5, top_k=100), Sampling(top_k=7)])
def test_what_truncation_keeps_is_what_transformers_keeps_in_a_large_vocabulary(sampling):
    z = logits(1000)
    kept = z
    if sampling.top_k:
        kept = TopKLogitsWarper(sampling.top_k)(None, kept)
    if sampling.top_p < 1:
        kept = TopPLogitsWarper(sampling.top_p)(None, kept)
    weights, ids = truncated(z.softmax(-1), sampling)
    assert ids is not None
    assert set(ids[weights > 0].tolist()) == set(kept[0].isfinite().nonzero().squeeze(1).tolist())


def test_truncation_always_keeps_the_likeliest():
    for sampling in (Sampling(top_p=1e-9), Sampling(top_k=1), Sampling(min_p=0.999)):
        weights, ids = truncated(HALVES, sampling)
        left = (weights > 0).nonzero()
        assert left.tolist() == [[0, 0]]
        assert ids is None or ids[0, 0] == 0


def test_logprobs_are_of_the_policy_at_the_temperature_before_truncation_and_penalty():
    z = torch.tensor([[math.log(4.0), math.log(2.0), 0.0]])
    u = torch.zeros(1, dtype=torch.float64)
    assert next_tokens(z, u, Sampling(temperature=2, top_k=1))[1].item() == pytest.approx(
        math.log(2 / (2 + math.sqrt(2) + 1)), abs=1e-6
    )
    seen = torch.tensor([[True, False, False]])
    token, logprob = next_tokens(z, u, Sampling(temperature=0, repetition_penalty=4.0), seen)
    assert token.item() == 1
    assert logprob.item() == pytest.approx(math.log(2 / 7), abs=1e-6)


def test_a_logprob_too_small_for_a_float32_probability_is_still_exact():
    z = torch.tensor([[0.0, -200.0]])
    seen = torch.tensor([[True, False]])
    z = torch.tensor([[300.0, 100.0]])
    token, logprob = next_tokens(z, torch.zeros(1), Sampling(temperature=0, repetition_penalty=4.0), seen)
    assert (token.item(), logprob.item()) == (1, -200.0)


def test_the_repetition_penalty_is_that_of_transformers():
    z, ids = logits(10), torch.tensor([[2, 5, 5]])
    seen = torch.zeros(1, 10, dtype=torch.bool).scatter_(1, ids, True)
    assert torch.equal(penalised(z, seen, 1.3), RepetitionPenaltyLogitsProcessor(1.3)(ids, z.clone()))
