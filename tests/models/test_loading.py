"""Every broken folder gives one clear message; a sound one gives exactly its weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, BertConfig, BertModel, PreTrainedTokenizerFast

from truing.errors import ModelError
from truing.models.loading import best_device, load_causal_lm, load_tokenizer


@pytest.fixture
def folder(toy_folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(toy_folder, tmp_path / "model"))


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_model_has_the_weights_of_its_folder_and_is_ready_to_be_run(toy_folder: Path) -> None:
    model = load_causal_lm(toy_folder)
    stored = load_file(toy_folder / "model.safetensors")
    assert torch.equal(model.get_input_embeddings().weight, stored["model.embed_tokens.weight"])
    assert not model.training
    assert model.name_or_path == str(toy_folder.resolve())
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_weights_come_in_the_type_asked_for_however_they_are_stored(folder: Path) -> None:
    half = {k: v.half() for k, v in load_file(folder / "model.safetensors").items()}
    save_file(half, folder / "model.safetensors", metadata={"format": "pt"})
    edit_config(folder, dtype="float16")
    assert {p.dtype for p in load_causal_lm(folder).parameters()} == {torch.float32}
    assert {p.dtype for p in load_causal_lm(folder, dtype="bfloat16").parameters()} == {torch.bfloat16}
    assert {p.dtype for p in load_causal_lm(folder, dtype="auto").parameters()} == {torch.float16}


def test_a_path_may_be_relative_and_the_model_still_knows_where_it_came_from(
    toy_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(toy_folder.parent)
    assert load_causal_lm("model").name_or_path == str(toy_folder.resolve())


def test_attention_is_the_one_asked_for(toy_folder: Path) -> None:
    assert load_causal_lm(toy_folder, attention="eager").config._attn_implementation == "eager"


def test_loading_prints_nothing(toy_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_causal_lm(toy_folder)
    load_tokenizer(toy_folder)
    assert capfd.readouterr() == ("", "")


def test_transformers_says_again_what_it_said_before(toy_folder: Path) -> None:
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    load_causal_lm(toy_folder)
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_the_device_is_the_cpu_where_there_is_no_gpu() -> None:
    assert best_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


# ---- what is wrong with a folder -----------------------------------------------------------------------------------


def refused(folder: Path | str) -> ModelError:
    with pytest.raises(ModelError) as caught:
        load_causal_lm(folder)
    assert caught.value.where
    return caught.value


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    error = refused(tmp_path / "nowhere")
    assert error.found == "no such folder"
    assert error.where == str(tmp_path / "nowhere")


def test_a_missing_folder_beside_others_is_not_looked_for_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    assert refused("runs/sft").found == "no such folder"


def test_a_hub_name_that_cannot_be_had_says_both_possibilities() -> None:
    error = refused("somebody/some-model")
    assert "no such folder here, and the Hugging Face hub does not give it" in error.found


def test_a_file_is_no_folder(toy_folder: Path) -> None:
    assert "this is a file" in refused(toy_folder / "config.json").found


def test_an_empty_folder_has_no_config(tmp_path: Path) -> None:
    assert "no config.json" in refused(tmp_path).found


def test_a_run_folder_points_to_the_model_inside(toy_folder: Path) -> None:
    assert refused(toy_folder.parent).remedy == f"Did you mean {(toy_folder.parent / 'model').resolve()}?"


@pytest.mark.parametrize("text", ["{", "[1]", "\x00", "[" * 100_000])
def test_a_config_that_is_no_json_object_is_refused(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    assert refused(folder).where == str(folder / "config.json")


def test_an_unknown_architecture_is_named_with_its_remedy(folder: Path) -> None:
    edit_config(folder, model_type="zork")
    error = refused(folder)
    assert "`zork`" in error.found
    assert "Update transformers" in str(error.remedy)


def test_code_that_comes_with_a_model_is_not_run(folder: Path, tmp_path: Path) -> None:
    trace = tmp_path / "was-run"
    code = f"open({str(trace)!r}, 'w')\nclass Config: pass\nclass Model: pass\n"
    (folder / "modeling_zork.py").write_text(code)
    auto_map = {"AutoConfig": "modeling_zork.Config", "AutoModelForCausalLM": "modeling_zork.Model"}
    edit_config(folder, model_type="zork", auto_map=auto_map)
    refused(folder)
    edit_config(folder, model_type="llama", auto_map=auto_map)
    assert type(load_causal_lm(folder)).__name__ == "LlamaForCausalLM"  # transformers' own class, not the folder's
    assert not trace.exists()


def test_pickled_weights_are_refused_with_the_way_to_convert_them(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    error = refused(folder)
    assert "pytorch_model.bin" in error.found
    assert "use_safetensors=False" in str(error.remedy)


def test_the_way_to_convert_pickled_weights_works(folder: Path, tmp_path: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    command = str(refused(folder).remedy).split('python -c "')[1].removesuffix('"')
    exec(command.replace("OLD", str(folder)).replace("NEW", str(tmp_path / "converted")))
    found = load_causal_lm(tmp_path / "converted").get_input_embeddings().weight
    assert torch.equal(found, weights["model.embed_tokens.weight"])


def test_a_folder_without_weights_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert "no weights" in refused(folder).found


@pytest.mark.parametrize("kept", [0, 6, 100, -1000])
def test_cut_off_weights_are_refused(folder: Path, kept: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    assert "damaged or cut off" in refused(folder).found


def test_missing_weights_are_an_error_and_not_a_random_start(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert refused(folder).found == "1 weights are missing: model.layers.1.mlp.up_proj.weight"


def test_weights_of_another_shape_are_named(folder: Path) -> None:
    edit_config(folder, vocab_size=321)
    assert "model.embed_tokens.weight (320x32, expected 321x32)" in refused(folder).found


def test_an_encoder_is_no_causal_language_model(tmp_path: Path) -> None:
    config = BertConfig(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    BertModel(config).save_pretrained(tmp_path / "bert")
    assert refused(tmp_path / "bert").found == "it holds a BertModel, not a causal language model"


# ---- tokenizers ----------------------------------------------------------------------------------------------------


def word_tokenizer(*words: str, folder: Path, rows: int | None = None, **special: str) -> Path:
    """A folder with a tokenizer whose words have the ids 0, 1, 2, ... and a model of `rows` embeddings."""
    vocabulary = {word: i for i, word in enumerate(words)}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token=special.get("unk_token", words[0])))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=inner, **special).save_pretrained(folder)
    if rows is not None:
        (folder / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": rows}))
    return folder


def test_a_model_folder_without_tokenizer_is_refused(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(ModelError, match="no tokenizer") as caught:
        load_tokenizer(folder)
    assert caught.value.where == str(folder)


@pytest.mark.parametrize("text", ["", "{", '{"version": "1.0"}'])
def test_a_tokenizer_that_cannot_be_read_is_refused(folder: Path, text: str) -> None:
    (folder / "tokenizer.json").write_text(text)
    with pytest.raises(ModelError, match="tokenizer cannot be read"):
        load_tokenizer(folder)


def test_a_pad_apart_from_eos_is_left_alone(toy_folder: Path) -> None:
    assert load_tokenizer(toy_folder).pad_token == "<pad>"


def test_a_pad_that_is_eos_gives_way_to_a_reserved_token(tmp_path: Path) -> None:
    made = word_tokenizer(
        "<unk>", "</s>", "a", "<|reserved_special_token_1|>", "<|reserved_special_token_0|>",
        folder=tmp_path, unk_token="<unk>", eos_token="</s>", pad_token="</s>",
    )  # fmt: skip
    tokenizer = load_tokenizer(made)
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, len(tokenizer)) == (3, 1, 5)


def test_a_plain_word_is_never_made_pad(tmp_path: Path) -> None:
    made = word_tokenizer("<unk>", "</s>", "<pad>", folder=tmp_path, unk_token="<unk>", eos_token="</s>")
    assert load_tokenizer(made).pad_token == "<unk>"  # here anybody's text "<pad>" is the word 2


def test_a_spare_row_of_the_embedding_becomes_pad_without_resizing(tmp_path: Path) -> None:
    made = word_tokenizer("<unk>", "</s>", "a", folder=tmp_path, rows=8, unk_token="<unk>", eos_token="</s>")
    tokenizer = load_tokenizer(made)
    assert tokenizer.pad_token_id == 3
    assert tokenizer.pad_token == "<|pad|>"


def test_without_a_spare_row_pad_is_unk(tmp_path: Path) -> None:
    made = word_tokenizer("<unk>", "</s>", "a", folder=tmp_path, rows=3, unk_token="<unk>", eos_token="</s>")
    assert load_tokenizer(made).pad_token == "<unk>"


def test_pad_is_eos_only_where_nothing_else_is_left(tmp_path: Path) -> None:
    made = word_tokenizer("<|end|>", "a", folder=tmp_path, rows=2, eos_token="<|end|>", unk_token="<|end|>")
    tokenizer = load_tokenizer(made)
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == 0


def test_a_tokenizer_with_a_new_pad_is_the_same_for_transformers(tmp_path: Path) -> None:
    made = word_tokenizer("<unk>", "</s>", "a", folder=tmp_path / "a", rows=8, unk_token="<unk>", eos_token="</s>")
    load_tokenizer(made).save_pretrained(tmp_path / "b")
    assert AutoTokenizer.from_pretrained(tmp_path / "b").pad_token_id == 3


def test_sharded_weights_load_and_a_missing_shard_is_an_error(toy_folder: Path, tmp_path: Path) -> None:
    whole = AutoModelForCausalLM.from_pretrained(toy_folder)
    whole.save_pretrained(tmp_path, max_shard_size="40KB")
    assert torch.equal(load_causal_lm(tmp_path).get_input_embeddings().weight, whole.get_input_embeddings().weight)
    shards = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(shards) > 1
    shards[0].unlink()
    refused(tmp_path)
