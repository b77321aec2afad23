"""The fast path for Llama's shape (Llama, Mistral, Qwen2, Qwen3): no padding, prompts shared, products in few calls.

weights      reads a model's live tensors, or says why it is of another shape
projections  linear layers of one input as one product, LoRA added, for a call packed as the processor wants them
elementwise  residual sums, norms and gates between the products
cache        keys and values of prompts, each stored once, and of rows, and the attention of rows to them:
             compiled   for float32 on a CPU, by `kernels`
             plain      for all else, by PyTorch (`attention`, `prompts`)
engine       rows, a step
"""
