"""Products of few rows with weights that lie in the order in which they are read.

A product of a dozen rows computes about as long as its weights take to come from memory. The libraries do one after the
other; here the next weights are asked for while these are multiplied, and a call costs microseconds.

    packed   weights [out, in] in panels of 32 outputs, each panel [in, 32]: read from the first number to the last
    tile     up to 12 rows by one panel: 24 sums that stay in registers, two loads of weights for 24 multiplications

32 and 12 are for processors with 32 registers of 16 numbers (AVX-512); others have tiles of their own size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from truing.models.kernels.compiler import Array, U, compiled
from truing.models.kernels.registers import LANES, NUM_REGISTERS

__all__ = ["PANEL", "multiply", "pack"]

_ROWS = 12 if NUM_REGISTERS == 32 else 6  # of a tile: two registers of sums a row, two of weights, and one more
PANEL = 2 * LANES
"""Outputs side by side."""
_AHEAD = 8192  # bytes: what comes from memory until these are multiplied
_SHARE = 131_072  # numbers of x at a time, which stay in the cache while all weights go by
_STRIP = 16


@compiled
def pack(weight: Array, begin: int, out: Array) -> None:
    """weight [n, in] becomes outputs begin to begin + n of `out` [panels, in, PANEL]."""
    count, width = weight.shape
    for panel in range(begin // PANEL, (begin + count + PANEL - 1) // PANEL):
        top, bottom = max(begin, panel * PANEL), min(begin + count, (panel + 1) * PANEL)
        for first in range(0, width, _STRIP):
            for i in range(first, min(width, first + _STRIP)):
                for output in range(top, bottom):
                    out[panel, i, output - panel * PANEL] = weight[output - begin, i]


def _tile(_: Any, rows: Any, x: Any, weights: Any, bias: Any, out: Any, stride: Any, depth: Any) -> Any:
    """Inside kernels, tile(rows, x, weights, bias, out, stride, depth): all are addresses or counts.

    out[r, :PANEL] = bias[:PANEL] + Σ_i x[i, r] · weights[i, :PANEL] for r < rows ≤ _ROWS and i < depth. x is
    [depth, rows]; a row of `out` begins `stride` bytes after the one before.
    """

    def made(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number, word, flag = ir.FloatType(), ir.IntType(64), ir.IntType(32)
        vector, byte = ir.VectorType(number, LANES), ir.IntType(8).as_pointer()
        fetches = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        fetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], fetches)
        count, x, weights, bias, out, stride, depth = arguments
        halves, width = (0, 1), 4 * LANES  # of a panel, and bytes of one
        undefined = ir.Constant(vector, ir.Undefined)
        first_lane = ir.Constant(ir.VectorType(flag, LANES), [0] * LANES)

        def at(address: Any, offset: int, kind: Any) -> Any:
            return builder.inttoptr(builder.add(address, word(offset)), kind.as_pointer())

        def read(address: Any, offset: int, kind: Any = vector) -> Any:
            return builder.load(at(address, offset, kind), align=4)

        def on_every_lane(one: Any) -> Any:
            return builder.shuffle_vector(builder.insert_element(undefined, one, flag(0)), undefined, first_lane)

        done = builder.append_basic_block()
        choice = builder.switch(count, done)
        for rows in range(1, _ROWS + 1):
            entry, loop, end = (builder.append_basic_block() for _ in range(3))
            choice.add_case(word(rows), entry)
            builder.position_at_end(entry)
            start = [read(bias, width * half) for half in halves]
            builder.branch(loop)

            builder.position_at_end(loop)
            i, from_x, from_weights = (builder.phi(word) for _ in range(3))
            sums = [[builder.phi(vector) for _ in halves] for _ in range(rows)]
            loaded = [read(from_weights, width * half) for half in halves]
            for line in range(0, 2 * width, 64):
                builder.call(fetch, [at(from_weights, _AHEAD + line, ir.IntType(8)), flag(0), flag(3), flag(1)])
            added = []
            for row in range(rows):
                factor = on_every_lane(read(from_x, 4 * row, number))
                products = [builder.fmul(factor, loaded[half], flags=("contract",)) for half in halves]
                added.append([builder.fadd(sums[row][half], products[half], flags=("contract",)) for half in halves])
            after = builder.add(i, word(1))
            for phi, before, then in (
                (i, word(0), after),
                (from_x, x, builder.add(from_x, word(4 * rows))),
                (from_weights, weights, builder.add(from_weights, word(2 * width))),
                *((sums[row][half], start[half], added[row][half]) for row in range(rows) for half in halves),
            ):
                phi.add_incoming(before, entry)
                phi.add_incoming(then, loop)
            builder.cbranch(builder.icmp_unsigned("<", after, depth), loop, end)

            builder.position_at_end(end)
            to = out
            for row in range(rows):
                for half in halves:
                    builder.store(added[row][half], at(to, width * half, vector), align=4)
                to = builder.add(to, stride)
            builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return types.void(*[types.uintp] * 7), made


tile: Any = intrinsic(_tile)


@compiled
def multiply(x: Array, weights: Array, bias: Array, out: Array, first: int, last: int) -> None:
    """out = x · Wᵀ + bias: x [rows, in], weights `pack`ed [panels, in, PANEL], bias [panels · PANEL],
    out [rows, panels · PANEL]. Panels first to last."""
    rows, depth = x.shape
    share = max(_ROWS, _SHARE // depth)
    turned = np.empty(min(rows, share) * depth, np.float32)
    stride = U(4 * out.shape[1])
    x_at, weights_at, bias_at, out_at = (
        U(turned.ctypes.data), U(weights.ctypes.data), U(bias.ctypes.data), U(out.ctypes.data),
    )  # fmt: skip
    for above in range(0, rows, share):
        some = min(share, rows - above)
        blocks = (some + _ROWS - 1) // _ROWS  # of like height: tile after tile, x lies as [in, its rows]
        for block in range(blocks):
            begin, end = some * block // blocks, some * (block + 1) // blocks
            for row in range(begin, end):
                for i in range(depth):
                    turned[U(begin * depth) + U(i) * U(end - begin) + U(row - begin)] = x[above + row, i]
        for panel in range(first, last):
            for block in range(blocks):
                begin, end = some * block // blocks, some * (block + 1) // blocks
                tile(
                    U(end - begin),
                    x_at + U(4 * begin * depth),
                    weights_at + U(4 * PANEL * depth * panel),
                    bias_at + U(4 * PANEL * panel),
                    out_at + U(4 * PANEL * panel) + U(above + begin) * stride,
                    stride,
                    U(depth),
                )
