"""Loops over float32 numbers in memory that the processor runs as it would C: compiled by Numba, at first use.

A chain of PyTorch operations reads and writes memory once an operation, and for few rows spends its time on being
called. Here such a chain is one loop, or a few. Large products stay with the libraries.

attention    attention over token trees
blocks       products of small blocks, for kernels
compiler     what compiles them, and how rows are spread over threads
exponential  e^x, one that loops can be vectorised with
gated        silu(gate)·up and its gradients
memory       arrays by their address, and memory asked for in advance
norms        RMSNorm and its gradients
product      products of few rows, for sampling
registers    how many numbers the processor takes at once
rotary       rotary position embedding and its gradient
softmax      of rows of logits
"""
