"""Loops over float32 numbers in memory that the processor runs as it would C: compiled by Numba, at first use.

A chain of PyTorch operations reads and writes memory once an operation, and for few rows spends its time on being
called. Here such a chain is one loop, or a few. Large products stay with the libraries.

compiler     what compiles them, and how rows are spread over threads
exponential  e^x, one that loops can be vectorised with
memory       arrays by their address, and memory asked for in advance
product      products of few rows, for sampling
"""
