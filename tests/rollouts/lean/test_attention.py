import pytest
import torch

from truing.rollouts.lean import attention


@pytest.mark.parametrize("masked", [False, True])
def test_attention_in_products_equals_the_flash_kernel(masked):
    g = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(3, 2, n, 16, generator=g) for n in (4, 9, 9))
    mask = torch.zeros(3, 1, 1, 9).masked_fill_(
        torch.arange(9) >= torch.tensor([9, 4, 1])[:, None, None, None], -torch.inf
    )
    plain = attention._plain(q, k, v, mask if masked else None, 0.25)
    flash = attention.attention(q, k, v, mask if masked else None, 0.25)
    for a, b in zip(plain, flash, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def test_attention_to_two_sets_of_keys_merges_into_attention_to_both():
    g = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, n, 8, generator=g) for n in (2, 7, 7))
    first = attention.attention(q, k[:, :, :3], v[:, :, :3], None, 0.5)
    second = attention.attention(q, k[:, :, 3:], v[:, :, 3:], None, 0.5)
    both = torch.empty(2, 3, 2, 8)
    attention.merge(*first, *second, both)
    torch.testing.assert_close(both, attention.attention(q, k, v, None, 0.5)[0])


def quarter_turn():
    """Of heads of size 4, for one token."""
    return attention.Rotary.table(torch.zeros(1, 4), torch.ones(1, 4)).at(torch.tensor([0]))


def test_a_quarter_turn_swaps_the_halves_of_a_head():
    x = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]])
    quarter_turn().turn(x)
    assert x.tolist() == [[[-3.0, -4.0, 1.0, 2.0]]]
