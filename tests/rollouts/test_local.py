import warnings

import peft
import pytest
import torch
from torch import nn

from truing.errors import DataError, ModelError, RecipeError, TrainingError
from truing.rollouts.local import LocalRollouts, Sampling

PAD, END = 0, 2
STOP_IDS = frozenset({END, 7, 9, 40, 55, 81, 120, 200})
LEAN = ["llama", "llama3_rope", "qwen2", "qwen3", "mistral"]
GENERIC = ["mistral_window", "gpt2", "gpt_neox", "gemma", "gemma3", "olmo2", "phi", "bloom"]


def rollouts(model, **settings):
    return LocalRollouts(model, **{"stop_ids": STOP_IDS, "pad_id": PAD, **settings})


def tokens(samples):
    return [[s.tokens for s in row] for row in samples]


def lora(model, **settings):
    config = peft.LoraConfig(
        r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"], lora_dropout=0.5, **settings
    )
    wrapped = peft.get_peft_model(model, config)
    torch.manual_seed(1)
    for name, p in wrapped.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(p, std=0.5)
    return wrapped


@pytest.mark.parametrize("max_batch", [128, 3])
@pytest.mark.parametrize("kind", LEAN + GENERIC)
def test_greedy_is_token_for_token_that_of_generate(kind, max_batch, toy, ragged, greedy_reference):
    model = toy(kind)
    r = rollouts(model, max_batch=max_batch)
    samples = r.generate(ragged, 2, Sampling(temperature=0, max_new_tokens=20))
    for prompt, row in zip(ragged, samples, strict=True):
        expected = greedy_reference(model, prompt, 20)
        assert [s.tokens for s in row] == [expected] * 2
        assert [s.finished for s in row] == [expected[-1] in STOP_IDS] * 2
    assert r.engine is not None
    assert r.engine.startswith("lean" if kind in LEAN else "generic")


@pytest.mark.parametrize("max_batch", [128, 4])
@pytest.mark.parametrize("kind", ["llama", "qwen3", "mistral_window", "gpt2"])
def test_logprobs_equal_a_plain_forward_at_the_temperature(kind, max_batch, toy, ragged, plain_logprobs):
    model = toy(kind)
    sampling = Sampling(temperature=0.7, top_p=0.95, max_new_tokens=20, seed=1)
    for prompt, row in zip(ragged, rollouts(model, max_batch=max_batch).generate(ragged, 3, sampling), strict=True):
        for s in row:
            expected = plain_logprobs(model, prompt, s.tokens, 0.7)
            torch.testing.assert_close(torch.tensor(s.logprobs), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_seeded_prompt_is_answered_alike_alone_in_a_batch_and_in_a_narrow_one(kind, toy, ragged):
    model, sampling = toy(kind), Sampling(max_new_tokens=20, seed=1, top_k=50)
    together = tokens(rollouts(model).generate(ragged, 3, sampling))
    assert tokens(rollouts(model, max_batch=2).generate(ragged, 3, sampling)) == together
    assert [tokens(rollouts(model).generate([p], 3, sampling))[0] for p in ragged] == together
    assert len({tuple(t) for row in together for t in row}) == 21
    other = Sampling(max_new_tokens=20, seed=2, top_k=50)
    assert tokens(rollouts(model).generate(ragged, 3, other)) != together


def test_without_a_seed_torchs_generator_decides(toy, ragged):
    r = rollouts(toy("llama"))
    torch.manual_seed(3)
    first, second = (tokens(r.generate(ragged, 1, Sampling(max_new_tokens=8))) for _ in range(2))
    torch.manual_seed(3)
    assert tokens(r.generate(ragged, 1, Sampling(max_new_tokens=8))) == first
    assert first != second


def test_the_same_prompt_twice_in_a_call_gets_different_samples(toy):
    a, b = tokens(rollouts(toy("llama")).generate([[5, 6], [5, 6]], 2, Sampling(max_new_tokens=8, seed=0)))
    assert len({tuple(t) for t in a + b}) == 4


def test_sampled_first_tokens_follow_the_models_probabilities(toy):
    model, draws = toy("llama"), 2000
    (row,) = rollouts(model, max_batch=500).generate([[5, 6, 7]], draws, Sampling(max_new_tokens=1, seed=0))
    with torch.no_grad():
        p = model(torch.tensor([[5, 6, 7]])).logits[0, -1].softmax(-1)
    counts = torch.bincount(torch.tensor([s.tokens[0] for s in row]), minlength=300)
    deviation = (counts / draws - p).abs() / (p * (1 - p) / draws).sqrt().clamp(min=1 / draws)
    assert deviation.max() < 5  # standard errors


def test_training_between_calls_is_seen(fresh, ragged, greedy_reference):
    model = fresh("llama")
    r = rollouts(model)
    sampling = Sampling(temperature=0, max_new_tokens=12)
    before = tokens(r.generate(ragged, 1, sampling))
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.2)
    after = tokens(r.generate(ragged, 1, sampling))
    assert after != before
    assert after == [[greedy_reference(model, p, 12)] for p in ragged]
    assert r.engine == "lean"


def test_the_model_can_be_trained_after_sampling_and_keeps_its_modes(fresh, ragged):
    for kind in ("llama", "gpt2"):
        model = fresh(kind)
        model.train()
        frozen = next(m for m in model.modules() if isinstance(m, nn.Embedding)).eval()
        rollouts(model).generate(ragged, 1, Sampling(max_new_tokens=4))
        assert model.training
        assert not frozen.training
        model(input_ids=torch.tensor([[3, 4]]), labels=torch.tensor([[3, 4]])).loss.backward()
        assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_lora_is_sampled_with_adapters_without_dropout_and_off_when_off(fresh, ragged, greedy_reference):
    base = fresh("llama")
    sampling = Sampling(temperature=0, max_new_tokens=12)
    plain = [[greedy_reference(base, p, 12)] for p in ragged]
    wrapped = lora(base).train()
    r = rollouts(wrapped)
    adapted = tokens(r.generate(ragged, 1, sampling))
    assert r.engine == "lean"
    assert adapted == [[greedy_reference(wrapped.eval(), p, 12)] for p in ragged]
    assert adapted != plain
    with wrapped.disable_adapter():
        assert tokens(r.generate(ragged, 1, sampling)) == plain


def test_a_variant_of_lora_takes_the_generic_path_and_is_right(fresh, ragged, greedy_reference):
    wrapped = lora(fresh("llama"), use_dora=True)
    r = rollouts(wrapped)
    out = tokens(r.generate(ragged, 1, Sampling(temperature=0, max_new_tokens=8)))
    assert r.engine == "generic: a variant of LoRA"
    assert out == [[greedy_reference(wrapped.eval(), p, 8)] for p in ragged]


def test_bfloat16_agrees_with_the_models_own_forward(fresh, ragged, plain_logprobs):
    model = fresh("llama").bfloat16()
    r = rollouts(model)
    for prompt, row in zip(ragged, r.generate(ragged, 2, Sampling(max_new_tokens=8, seed=0)), strict=True):
        for s in row:
            gap = (torch.tensor(s.logprobs) - plain_logprobs(model, prompt, s.tokens, 1.0)).abs()
            assert gap.max() < 0.5
            assert gap.mean() < 0.1
    assert r.engine == "lean"


def test_a_llama_that_computes_something_else_is_found_out_and_still_right(fresh, ragged, greedy_reference):
    model = fresh("llama")
    for layer in model.model.layers:
        layer.self_attn.scaling = 1.0  # no structure shows it
    r = rollouts(model)
    sampling = Sampling(temperature=0, max_new_tokens=8)
    with pytest.warns(UserWarning, match="looks like Llama and is not: first logits differ"):
        out = tokens(r.generate(ragged, 1, sampling))
    assert out == [[greedy_reference(model, p, 8)] for p in ragged]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said once
        r.generate(ragged, 1, sampling)
    assert r.engine is not None
    assert r.engine.startswith("generic: first logits differ")


def test_the_repetition_penalty_is_that_of_generate(toy, ragged, greedy_reference):
    for kind in ("llama", "gpt2"):
        model = toy(kind)
        sampling = Sampling(temperature=0, max_new_tokens=20, repetition_penalty=1.5)
        out = tokens(rollouts(model, max_batch=3).generate(ragged, 1, sampling))
        assert out == [[greedy_reference(model, p, 20, repetition_penalty=1.5)] for p in ragged]


def test_a_response_ends_with_the_token_that_completes_a_stop_string(toy, ragged):
    def decode(ids):
        return "".join(f"<{i}>" for i in ids)

    model, free = toy("llama"), Sampling(max_new_tokens=12, seed=0)
    r = rollouts(model, stop_ids=frozenset(), decode=decode)
    whole = r.generate(ragged, 2, free)
    stop = (decode(whole[1][0].tokens[4:6])[1:],)  # the end of one token's text and the next token's
    cut = r.generate(ragged, 2, Sampling(max_new_tokens=12, seed=0, stop=stop))
    assert cut[1][0].tokens == whole[1][0].tokens[:6]
    assert len(cut[1][0].logprobs) == 6
    assert cut[1][0].finished
    assert tokens(cut)[2:] == tokens(whole)[2:]
    assert not cut[2][0].finished


def test_no_prompts_no_samples_and_one_token(toy, ragged):
    r = rollouts(toy("llama"))
    assert r.generate([], 3, Sampling()) == []
    assert r.generate(ragged[:2], 0, Sampling(max_new_tokens=4)) == [[], []]
    out = r.generate(ragged, 2, Sampling(max_new_tokens=1))
    assert all(len(s.tokens) == len(s.logprobs) == 1 for row in out for s in row)


def test_all_rows_may_end_at_once_and_the_queue_goes_on(toy, ragged):
    for kind in ("llama", "gpt2"):
        everything = frozenset(range(300))
        out = rollouts(toy(kind), stop_ids=everything, max_batch=2).generate(ragged, 3, Sampling(max_new_tokens=9))
        assert [[(len(s.tokens), s.finished) for s in row] for row in out] == [[(1, True)] * 3] * 7


def test_many_prompts_through_few_rows_slide_the_generic_cache(toy, ragged, greedy_reference):
    model = toy("gpt2")
    prompts = [p[i % len(p) :] + p[: i % len(p)] for i in range(5) for p in ragged]
    out = rollouts(model, max_batch=2).generate(prompts, 1, Sampling(temperature=0, max_new_tokens=6))
    assert tokens(out) == [[greedy_reference(model, p, 6)] for p in prompts]


def test_a_token_budget_narrows_the_batch_but_not_the_answers(toy, ragged):
    model, sampling = toy("llama"), Sampling(max_new_tokens=10, seed=0)
    wide = tokens(rollouts(model).generate(ragged, 2, sampling))
    assert tokens(rollouts(model, cache_tokens=100).generate(ragged, 2, sampling)) == wide
    with pytest.raises(RecipeError, match="cache_tokens = 39 does not hold one response, which may take 40"):
        rollouts(model, cache_tokens=39).generate(ragged, 2, sampling)


@pytest.mark.parametrize(
    ("prompts", "sampling", "message"),
    [
        ([[5], []], Sampling(max_new_tokens=4), "prompt 1: no tokens"),
        ([[5] * 125], Sampling(max_new_tokens=4), "prompt 0: 125 tokens and max_new_tokens = 4 .* 128 positions"),
        ([[5, 300]], Sampling(max_new_tokens=4), "prompt 0: token 300 in a vocabulary of 300"),
        ([[5, -1]], Sampling(max_new_tokens=4), "prompt 0: token -1 in a vocabulary of 300"),
    ],
)
def test_a_prompt_that_cannot_be_answered_is_named(prompts, sampling, message, toy):
    for kind in ("llama", "gpt2"):
        with pytest.raises(DataError, match=message):
            rollouts(toy(kind)).generate(prompts, 1, sampling)


def test_the_last_position_can_be_used(toy, greedy_reference):
    for kind in ("llama", "gpt2"):
        prompt = [5] * 124
        (row,) = rollouts(toy(kind)).generate([prompt], 1, Sampling(temperature=0, max_new_tokens=4))
        assert row[0].tokens == greedy_reference(toy(kind), prompt, 4)


def test_stop_strings_without_a_decoder_are_refused(toy):
    with pytest.raises(RecipeError, match="nothing that turns tokens into text"):
        rollouts(toy("llama")).generate([[5]], 1, Sampling(stop=("x",), max_new_tokens=4))


def test_logits_that_are_not_finite_stop_the_run_and_name_the_prompt(fresh):
    for kind in ("llama", "gpt2"):
        model = fresh(kind)
        with torch.no_grad():
            model.get_input_embeddings().weight[42] = float("nan")
            if kind == "llama":  # tied: the head would spread it to every prompt
                model.lm_head.weight = nn.Parameter(torch.randn(300, 32))
            else:
                model.lm_head.weight = nn.Parameter(torch.randn(300, 32))
        with pytest.raises(TrainingError, match="prompt 1: the model's logits are not finite"):
            rollouts(model).generate([[5], [6, 42]], 2, Sampling(max_new_tokens=4))


def test_a_model_that_keeps_other_state_is_refused_by_name():
    from transformers import MambaConfig, MambaForCausalLM, T5Config, T5ForConditionalGeneration

    mamba = MambaForCausalLM(MambaConfig(vocab_size=30, hidden_size=16, num_hidden_layers=1, state_size=4))
    t5 = T5ForConditionalGeneration(
        T5Config(vocab_size=30, d_model=16, d_ff=16, num_layers=1, num_heads=2, d_kv=8, decoder_start_token_id=0)
    )
    for model in (mamba, t5):
        with pytest.raises(ModelError, match=type(model).__name__):
            rollouts(model).generate([[5]], 1, Sampling(max_new_tokens=4))
