"""The fast path for Llama's shape (Llama, Mistral, Qwen2, Qwen3): no padding, prompts shared, products in few calls.

weights      reads a model's live tensors, or says why it is of another shape
projections  linear layers of one input as one product, LoRA added, for a call packed as the processor wants them
attention    the kernels: attention with its log-sum-exp, rotary embedding
prompts      prompts' keys and values, each stored once, and the attention of their rows to them
engine       rows, their keys and values, a step
"""
