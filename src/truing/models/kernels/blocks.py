"""Products of blocks inside of kernels: C = A·B or C + A·B of float32 matrices in memory, with any strides.

A library's product is worth its call only if it is large. In a loop over blocks of a few dozen rows, what is made is
read again at once, from the nearest cache. Here a piece of C of 6 rows and 4 vectors stays in registers while a column
of A and a row of B go by (K. Goto and R. van de Geijn, Anatomy of High-Performance Matrix Multiplication, 2008). No
loop in Python makes a compiler do that, so the piece is written in LLVM's own instructions. Measured on Zen 5, of 240
GFLOP/s: 235 on 48 rows by 64 columns of depth 64, 205 to 225 where B comes from the second cache. `product.py` has
another such piece, for few rows and weights that come from memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from truing.models.kernels.compiler import Array, U, compiled
from truing.models.kernels.registers import LANES, NUM_REGISTERS

__all__ = ["COLUMNS", "Index", "add_product", "turn"]

Index = Any
"""np.uintp; what range() counts is one as well when compiled, which no checker knows."""

_VECTORS = NUM_REGISTERS // 8  # in a row of a piece: 6 by 4 fill 32 registers, 6 by 2 fill 16
COLUMNS = 16
"""B's and C's columns are a multiple of so many."""
_FUSED = ("contract",)
_ZERO = np.float32(0)


def _piece(rows: int, vectors: int) -> Any:
    """c[rows, vectors·lanes] = (c if accumulate else 0) + a[rows, depth]·b[depth, vectors·lanes], all in registers.

    Each matrix is a flat array, the place of its first number, and its strides: a's from row to row and along its
    depth, b's along its depth, c's from row to row; a row of b or c is contiguous.
    """
    vector, index = ir.VectorType(ir.FloatType(), LANES), ir.IntType(64)

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        data = [context.make_array(signature.args[i])(context, builder, arguments[i]).data for i in (0, 4, 7)]
        a, b, c = (builder.gep(data[n], [arguments[place]]) for n, place in enumerate((1, 5, 8)))
        a_row, a_step, b_step, c_row, depth, accumulate = (arguments[i] for i in (2, 3, 6, 9, 10, 11))

        def vectors_at(start: Any, offset: Any) -> list[Any]:
            places = [builder.add(offset, ir.Constant(index, LANES * n)) for n in range(vectors)]
            return [builder.bitcast(builder.gep(start, [place]), vector.as_pointer()) for place in places]

        a_rows = [builder.mul(a_row, ir.Constant(index, r)) for r in range(rows)]
        into = [vectors_at(c, builder.mul(c_row, ir.Constant(index, r))) for r in range(rows)]
        none = ir.Constant(vector, [0.0] * LANES)
        starts = [[builder.select(accumulate, builder.load(p, align=4), none) for p in places] for places in into]

        before, body, after = builder.block, builder.append_basic_block("step"), builder.append_basic_block("after")
        builder.branch(body)
        builder.position_at_end(body)
        step = builder.phi(index)
        step.add_incoming(ir.Constant(index, 0), before)
        sums = [[builder.phi(vector) for _ in range(vectors)] for _ in range(rows)]
        factors = [builder.load(p, align=4) for p in vectors_at(b, builder.mul(step, b_step))]
        down = builder.mul(step, a_step)
        first, lanes = ir.Constant(ir.IntType(32), 0), ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        unset = ir.Constant(vector, ir.Undefined)
        last = []
        for r in range(rows):
            number = builder.load(builder.gep(a, [builder.add(a_rows[r], down)]))
            spread = builder.shuffle_vector(builder.insert_element(unset, number, first), unset, lanes)
            for n in range(vectors):
                found = builder.fadd(sums[r][n], builder.fmul(spread, factors[n], flags=_FUSED), flags=_FUSED)
                sums[r][n].add_incoming(starts[r][n], before)
                sums[r][n].add_incoming(found, body)
                last.append((found, into[r][n]))
        following = builder.add(step, ir.Constant(index, 1))
        step.add_incoming(following, body)
        builder.cbranch(builder.icmp_unsigned("<", following, depth), body, after)
        builder.position_at_end(after)
        for found, place in last:
            builder.store(found, place, align=4)
        return context.get_dummy_value()

    def typed(
        typing: Any, a: Any, a_at: Any, a_row: Any, a_step: Any, b: Any, b_at: Any, b_step: Any,
        c: Any, c_at: Any, c_row: Any, depth: Any, accumulate: Any,
    ) -> Any:  # fmt: skip
        u = types.uintp
        return types.void(a, u, u, u, b, u, u, c, u, u, u, types.boolean), codegen

    return intrinsic(typed)


_R6, _R4, _R2, _R1 = (_piece(rows, _VECTORS) for rows in (6, 4, 2, 1))
_N6, _N4, _N2, _N1 = (_piece(rows, COLUMNS // LANES) for rows in (6, 4, 2, 1))


def _turned_piece() -> Any:
    """into[column, row] = x[row, column] of 16 by 16 numbers, in four rounds of swapping halves between vectors."""
    vector, mask, size = ir.VectorType(ir.FloatType(), 16), ir.VectorType(ir.IntType(32), 16), 16

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        x, x_at, x_row, into, into_at, into_row = arguments

        def places(array: Any, kind: Any, at: Any, row: Any) -> list[Any]:
            start = builder.gep(context.make_array(kind)(context, builder, array).data, [at])
            starts = [builder.gep(start, [builder.mul(row, ir.Constant(row.type, n))]) for n in range(size)]
            return [builder.bitcast(start, vector.as_pointer()) for start in starts]

        rows = [builder.load(place, align=4) for place in places(x, signature.args[0], x_at, x_row)]
        for half in (8, 4, 2, 1):
            low = ir.Constant(mask, [size + j - half if j & half else j for j in range(size)])
            high = ir.Constant(mask, [size + j if j & half else j + half for j in range(size)])
            for i in range(size):
                if not i & half:
                    pair = rows[i], rows[i + half]
                    rows[i], rows[i + half] = (builder.shuffle_vector(*pair, chosen) for chosen in (low, high))
        for row, place in zip(rows, places(into, signature.args[3], into_at, into_row), strict=True):
            builder.store(row, place, align=4)
        return context.get_dummy_value()

    def typed(typing: Any, x: Any, x_at: Any, x_row: Any, into: Any, into_at: Any, into_row: Any) -> Any:
        u = types.uintp
        return types.void(x, u, u, into, u, u), codegen

    return intrinsic(typed)


_turn_piece = _turned_piece()


@compiled
def turn(
    x: Array, x_at: Index, x_row: Index, into: Array, into_at: Index, into_row: Index, rows: Index, columns: Index
) -> None:
    """into [columns, rows, filled up with zeros to a multiple of 16] = xᵀ [rows, columns]; columns a multiple of 16.

    Flat arrays, the places of the first numbers, and how far their rows are apart.
    """
    block = U(16)
    for column in range(U(0), columns, block):
        for row in range(U(0), rows, block):
            at, to = x_at + row * x_row + column, into_at + column * into_row + row
            if rows - row >= block:
                _turn_piece(x, at, x_row, into, to, into_row)
            else:
                for i in range(U(0), block):
                    for t in range(U(0), rows - row):
                        into[to + i * into_row + t] = x[at + t * x_row + i]
                    for t in range(rows - row, block):
                        into[to + i * into_row + t] = _ZERO


@compiled
def add_product(
    a: Array, a_at: Index, a_row: Index, a_step: Index, b: Array, b_at: Index, b_step: Index,
    c: Array, c_at: Index, c_row: Index, rows: Index, columns: Index, depth: Index, accumulate: bool,
) -> None:  # fmt: skip
    """C[rows, columns] = (C if accumulate else 0) + A[rows, depth]·B[depth, columns]; columns a multiple of `COLUMNS`.

    Flat arrays; a matrix starts at `_at`; `_row` numbers on is its next row, of A `_step` numbers on the next column,
    and of B `_step` numbers on the next row. All of them are unsigned. With rows = 0 or depth = 0, C stays as it is.
    """
    if depth == U(0):
        return
    wide = U(LANES * _VECTORS)
    column = U(0)
    while column < columns:
        whole = columns - column >= wide
        row = U(0)
        while row < rows:
            left = rows - row
            at, b_now, to = a_at + row * a_row, b_at + column, c_at + row * c_row + column
            if whole:
                if left >= U(6):
                    _R6(a, at, a_row, a_step, b, b_now, b_step, c, to, c_row, depth, accumulate)
                    row += U(6)
                elif left >= U(4):
                    _R4(a, at, a_row, a_step, b, b_now, b_step, c, to, c_row, depth, accumulate)
                    row += U(4)
                elif left >= U(2):
                    _R2(a, at, a_row, a_step, b, b_now, b_step, c, to, c_row, depth, accumulate)
                    row += U(2)
                else:
                    _R1(a, at, a_row, a_step, b, b_now, b_step, c, to, c_row, depth, accumulate)
                    row += U(1)
            elif left >= U(6):
                _N6(a, at, a_row, a_step, b, b_now, b_step, c, to, c_row, depth, accumulate)
                row += U(6)
            elif left >= U(4):
                _N4(a, at, a_row, a_step, b, b_now, b_step, c, to, c_row, depth, accumulate)
                row += U(4)
            elif left >= U(2):
                _N2(a, at, a_row, a_step, b, b_now, b_step, c, to, c_row, depth, accumulate)
                row += U(2)
            else:
                _N1(a, at, a_row, a_step, b, b_now, b_step, c, to, c_row, depth, accumulate)
                row += U(1)
        column += wide if whole else U(COLUMNS)
