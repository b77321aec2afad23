"""Models: loading and saving, heads, adapters, and the one place that runs them.

    loading     a folder or hub name -> model, tokenizer
    heads       reward model and value head
    adapters    LoRA, the reference, merging into the base
    deltas      what adapters add to the weights: its L1 norm, its sparsity
    merging     several adapters -> one model: linear, TIES, DARE
    saving      model -> a plain Hugging Face folder
    attention, forward, logprobs    token trees through a model
    policy      packed trees in, streams out

Nothing is imported here: torch is loaded by whoever needs it.
"""
