import numpy as np
import pytest
import torch

from truing.rollouts.inverse import draw_rows


def draw(logits, uniforms, sharpness=1.0):
    rows = logits.shape[0]
    tokens, logprobs = np.full(rows, -1), np.zeros(rows, np.float32)
    draw_rows(
        logits.numpy(),
        np.float32(sharpness),
        torch.as_tensor(uniforms, dtype=torch.float64).numpy(),
        tokens,
        logprobs,
        0,
        rows,
    )
    return torch.from_numpy(tokens), torch.from_numpy(logprobs)


@pytest.mark.parametrize(("u", "index"), [(0.0, 0), (0.49, 0), (0.51, 1), (0.74, 1), (0.76, 2), (0.999999, 3)])
def test_by_hand(u, index):
    token, logprob = draw(torch.tensor([[0.5, 0.25, 0.125, 0.125]]).log(), [u])
    assert token.item() == index
    assert logprob.exp().item() == pytest.approx([0.5, 0.25, 0.125, 0.125][index])


@pytest.mark.parametrize("vocab", [1, 5, 127, 128, 129, 1000, 8192])
@pytest.mark.parametrize("sharpness", [1.0, 2.5])
def test_a_plain_running_sum_in_float64_agrees(vocab, sharpness):
    g = torch.Generator().manual_seed(vocab)
    logits, u = 3 * torch.randn(200, vocab, generator=g), torch.rand(200, generator=g, dtype=torch.float64)
    tokens, logprobs = draw(logits, u, sharpness)
    chances = (logits.double() * sharpness).log_softmax(-1)
    running = chances.exp().cumsum(-1)
    # where the running sum passes u, to the rounding of float32
    after = running.gather(1, tokens[:, None]).squeeze(1)
    before = after - chances.exp().gather(1, tokens[:, None]).squeeze(1)
    assert (before <= u + 1e-6).all()
    assert (u <= after + 1e-6).all()
    expected = chances.gather(1, tokens[:, None]).squeeze(1)
    torch.testing.assert_close(logprobs.double(), expected, atol=5e-6, rtol=1e-6)


@pytest.mark.parametrize("u", [0.0, 0.3, 1 - 2**-53])
def test_a_token_of_probability_zero_is_never_drawn(u):
    logits = torch.full((3, 400), -torch.inf)
    logits[0, [131, 260]] = torch.tensor([0.3, 0.7])
    logits[1, 399] = -5.0
    logits[2, :2] = torch.tensor([0.0, -200.0])
    tokens, _ = draw(logits, [u] * 3)
    assert tokens[0] in (131, 260)
    assert tokens[1:].tolist() == [399, 0]


def test_what_is_not_finite_gives_a_logprob_that_is_not_a_number_and_harms_no_other():
    logits = torch.zeros(4, 300)
    logits[0, 7], logits[1, 200], logits[2] = torch.nan, torch.inf, -torch.inf
    tokens, logprobs = draw(logits, [0.5] * 4)
    assert logprobs.isnan().tolist() == [True, True, True, False]
    assert ((tokens >= 0) & (tokens < 300)).all()
    assert tokens[3] == 150
