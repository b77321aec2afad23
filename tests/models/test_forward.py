from __future__ import annotations

import copy
import warnings
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from truing.errors import ModelError
from truing.models.forward import PaddedPath, Runner, body_of, hidden_states_padded, no_dropout, unwrap
from truing.models.head import head_of
from truing.tree import Packed, Tree, pack

SHARING = ["llama", "llama_grouped", "qwen3", "mistral", "gemma", "gemma3", "gpt2", "gpt_neox", "phi", "olmo2", "opt"]
SHARING += ["cohere", "granite"]
PADDED = {
    "gemma2": "soft-capped",
    "gpt_oss": "sinks",
    "bloom": "does not use transformers' attention interface",
    "mamba": "come out different",
}


def logprobs(runner: Runner, packed: Packed) -> Tensor:
    states = runner(packed)
    return packed.scatter(head_of(runner.model).logprobs(states[packed.predictors], packed.targets))


def loss(found: Tensor, mask: Tensor) -> Tensor:
    """Something that treats every token differently: a pairwise loss would, too."""
    factors = torch.randn(found.shape, generator=torch.Generator().manual_seed(3))
    return (found * factors).sum() / mask.sum()


def assert_same_loss_and_gradients(runner: Runner, plain: Any, trees: list[Tree], toy: SimpleNamespace) -> None:
    packed = pack(trees)
    expected = toy.plain_logprobs(plain, trees)
    loss(expected, packed.mask).backward()
    found = logprobs(runner, packed)
    loss(found, packed.mask).backward()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    gradients = {name: p.grad for name, p in plain.named_parameters() if p.grad is not None}
    ours = {name: p.grad for name, p in runner.model.named_parameters() if p.grad is not None}
    assert gradients.keys() == ours.keys()
    for name, expected_gradient in gradients.items():
        torch.testing.assert_close(ours[name], expected_gradient, atol=1e-5, rtol=0, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("family", SHARING)
def test_loss_and_every_gradient_equal_the_plain_padded_computation(
    toy: SimpleNamespace, family: str, checkpointing: bool
):
    model = toy.model(family)
    plain = copy.deepcopy(model).eval()
    runner = Runner(model, checkpointing=checkpointing)
    assert_same_loss_and_gradients(runner, plain, toy.trees(), toy)
    assert runner.shared


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("family", PADDED)
def test_what_cannot_share_says_so_once_and_computes_the_same(toy: SimpleNamespace, family: str, checkpointing: bool):
    model = toy.model(family)
    plain = copy.deepcopy(model).eval()
    implementation = model.config._attn_implementation
    runner = Runner(model, checkpointing=checkpointing)
    with pytest.warns(PaddedPath, match=f"{type(model).__name__}: .*{PADDED[family]}") as told:
        assert_same_loss_and_gradients(runner, plain, toy.trees(), toy)
    runner(pack(toy.trees(1)))  # a second warning would be an error
    assert len(told) == 1
    assert runner.shared is False
    assert model.config._attn_implementation == implementation


@pytest.mark.parametrize("count", [1, 2, 5])
def test_trees_of_one_two_and_five_branches_equal_the_plain_computation(toy: SimpleNamespace, count: int):
    model = toy.model("llama_grouped")
    plain = copy.deepcopy(model).eval()
    trees = [Tree([5, 6, 7], [toy.branch(*range(9, 9 + i)) for i in range(1, count + 1)])]
    assert_same_loss_and_gradients(Runner(model), plain, trees, toy)


def test_the_padded_way_gives_the_same_hidden_states_in_the_same_order(toy: SimpleNamespace):
    packed = pack([*toy.trees(), Tree([7, 8, 9], [])])
    model = toy.model("qwen3")
    with torch.no_grad():
        shared, padded = Runner(model)(packed), Runner(model, share=False)(packed)
    assert shared.shape == (packed.num_tokens, 32)
    torch.testing.assert_close(shared, padded, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("targets", ["all-linear", ["q_proj", "lm_head"]])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_lora_trains_the_same_and_its_reference_is_the_model_without_adapters(
    toy: SimpleNamespace, targets: Any, checkpointing: bool
):
    from peft import LoraConfig, get_peft_model

    base = toy.model("llama")
    untouched = copy.deepcopy(base).eval()
    config = LoraConfig(r=4, target_modules=targets, lora_dropout=0.5, init_lora_weights=False)
    model = get_peft_model(base, config).train()
    plain = copy.deepcopy(model).eval()
    runner = Runner(model, checkpointing=checkpointing)
    trees = toy.trees()
    assert_same_loss_and_gradients(runner, plain, trees, toy)
    with torch.no_grad(), model.disable_adapter():
        reference = logprobs(runner, pack(trees))
    torch.testing.assert_close(reference, toy.plain_logprobs(untouched, trees), atol=1e-5, rtol=1e-5)


def test_two_batches_may_be_run_before_either_goes_backward(toy: SimpleNamespace):
    model = toy.model("llama")
    plain = copy.deepcopy(model).eval()
    runner = Runner(model, checkpointing=True)
    batches = [toy.trees(1), toy.trees(2)[1:3]]
    found = [logprobs(runner, pack(trees)) for trees in batches]
    sum(f.sum() for f in reversed(found)).backward()
    sum(toy.plain_logprobs(plain, trees).sum() for trees in batches).backward()
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-4, rtol=1e-4)


def test_checkpointing_keeps_less_than_half_for_the_backward_pass(toy: SimpleNamespace):
    packed = pack(toy.trees())

    def kept(runner: Runner) -> int:
        with torch.no_grad():
            runner(packed)  # the self-check is not measured
        parameters = {p.data_ptr() for p in runner.model.parameters()}
        sizes: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            if tensor.data_ptr() not in parameters:
                sizes[tensor.data_ptr()] = tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
            runner(packed)
        return sum(sizes.values())

    assert kept(Runner(toy.model("llama"), checkpointing=True)) < kept(Runner(toy.model("llama"))) / 2


def test_checkpointing_works_in_a_model_that_generation_left_in_eval_mode(toy: SimpleNamespace):
    model = toy.model("llama")
    runner = Runner(model, checkpointing=True)
    model.eval()
    runner(pack(toy.trees()))
    assert body_of(model).training


def test_dropout_is_off_in_train_mode_and_the_config_keeps_its_rate(toy: SimpleNamespace):
    model = toy.model("gpt2").train()
    assert model.config.attn_pdrop == 0.1
    runner = Runner(model)
    packed = pack(toy.trees())
    with torch.no_grad():
        assert torch.equal(runner(packed), runner(packed))
        assert torch.equal(hidden_states_padded(model, packed), hidden_states_padded(model, packed))
    assert model.training
    assert model.config.attn_pdrop == 0.1


def test_attention_dropout_kept_as_a_number_is_off_too(toy: SimpleNamespace):
    model = toy.model("llama", attention_dropout=0.4)
    no_dropout(model)
    assert {layer.self_attn.attention_dropout for layer in model.model.layers} == {0.0}


def test_a_response_longer_than_the_window_pads_that_batch_only(toy: SimpleNamespace):
    model = toy.model("mistral", sliding_window=14)
    plain = copy.deepcopy(model).eval()
    runner = Runner(model)
    short = [Tree([5, 6, 7], [toy.branch(9, 8), toy.branch(7)])]
    long = [Tree([5, 6, 7, 8], [toy.branch(*range(10, 24)), toy.branch(7)])]
    runner(pack(short))
    with pytest.warns(PaddedPath, match=r"a window of 14 tokens .*\(18 tokens\)"):
        assert_same_loss_and_gradients(runner, plain, long, toy)
    assert runner.shared
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runner(pack(short))


def test_a_model_that_reads_its_neighbours_is_found_out(toy: SimpleNamespace):
    model = toy.model("llama")

    def leak(module: Any, args: Any, output: Tensor) -> Tensor:
        return output + 0.1 * output.mean(1, keepdim=True).expand_as(output)

    model.model.embed_tokens.register_forward_hook(leak)
    with pytest.warns(PaddedPath, match="hidden states come out different"):
        Runner(model)(pack(toy.trees()))


def test_share_false_pads_without_a_word(toy: SimpleNamespace):
    model = toy.model("llama")
    assert Runner(model, share=False)(pack(toy.trees())).shape == (pack(toy.trees()).num_tokens, 32)
    assert model.config._attn_implementation != "truing_tree"


def test_a_bfloat16_model_shares(toy: SimpleNamespace):
    model = toy.model("llama_grouped", dtype=torch.bfloat16)
    runner = Runner(model)
    found = logprobs(runner, pack(toy.trees()))
    assert runner.shared
    expected = toy.plain_logprobs(copy.deepcopy(model).float().eval(), toy.trees())
    assert (found - expected).abs().max() < 0.15
    found.sum().backward()
    assert model.model.layers[0].self_attn.k_proj.weight.grad.isfinite().all()


def test_autocast_runs_trees_in_bfloat16(toy: SimpleNamespace):
    model = toy.model("llama_grouped")
    runner = Runner(model)
    with torch.autocast("cpu", torch.bfloat16):
        found = logprobs(runner, pack(toy.trees()))
    found.sum().backward()
    assert runner.shared
    assert (found - toy.plain_logprobs(model, toy.trees())).abs().max() < 0.15


def test_a_reward_model_runs_too(toy: SimpleNamespace):
    from transformers import LlamaForSequenceClassification

    config = toy.model("llama").config
    config.num_labels = 1
    model = LlamaForSequenceClassification(config).eval()
    packed = pack([Tree([5, 6, 7], [toy.branch(9, 8), toy.branch(7)])])
    with torch.no_grad():
        found = model.score(Runner(model)(packed)[packed.ends]).squeeze(-1)
        expected = torch.stack([model(torch.tensor([row])).logits[0, 0] for row in ([5, 6, 7, 9, 8], [5, 6, 7, 7])])
    torch.testing.assert_close(found, expected)


class Square(TorchDispatchMode):
    """Shapes that grow with the square of the tokens, or with tokens times vocabulary."""

    def __init__(self, tokens: int, vocabulary: int) -> None:
        super().__init__()
        self.tokens, self.vocabulary = tokens, vocabulary
        self.seen: set[tuple[str, tuple[int, ...]]] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, Tensor) and tensor.dim() >= 2:
                *_, rows, columns = tensor.shape
                if rows >= self.tokens // 2 and columns in (self.tokens, self.vocabulary):
                    self.seen.add((str(func), tuple(tensor.shape)))
        return out


def test_neither_a_dense_mask_nor_all_logits_are_ever_made(toy: SimpleNamespace):
    trees = [Tree(list(range(3, 33)), [toy.branch(*range(3, 18)), toy.branch(*range(20, 60))]) for _ in range(20)]
    packed = pack(trees)
    model = toy.model("llama")
    runner, head = Runner(model), head_of(model)
    runner(packed)
    states = 0
    with Square(packed.num_tokens, toy.vocabulary) as mode:
        hidden = runner(packed)
        for rows in torch.arange(len(packed.targets)).split(100):
            states = states + head.logprobs(hidden[packed.predictors[rows]], packed.targets[rows]).sum()
        states.backward()
    assert not mode.seen


def test_prompt_tuning_and_encoders_are_refused(toy: SimpleNamespace):
    from peft import PromptTuningConfig, get_peft_model
    from transformers import T5Config, T5ForConditionalGeneration

    with pytest.raises(ModelError, match="PROMPT_TUNING puts virtual tokens"):
        unwrap(get_peft_model(toy.model("llama"), PromptTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM")))
    tiny = T5ForConditionalGeneration(T5Config(vocab_size=9, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2))
    with pytest.raises(ModelError, match="not a decoder-only model"):
        body_of(tiny)


def test_weights_that_are_not_finite_are_named_and_not_taken_for_an_attention_that_cannot_share(toy: SimpleNamespace):
    model = toy.model("llama")
    with torch.no_grad():
        model.get_input_embeddings().weight.fill_(float("nan"))
    with pytest.raises(ModelError, match="hidden states are not finite"):
        Runner(model)(pack(toy.trees()))
