"""Memory by its address: for kernels that read from many arrays, and that ask for what they will read next."""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

__all__ = ["fetch", "floats_at"]


def _pointer(_: Any, address: Any) -> Any:
    """The pointer to float32 numbers at an address."""

    def made(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.float32)(types.uintp), made  # type: ignore[no-untyped-call]


def _fetch(_: Any, address: Any) -> Any:
    """Inside kernels, fetch(address): the line of memory there will be read soon. Does not wait for it."""

    def made(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
        # to be read, and kept in the nearest cache; data
        builder.call(prefetch, [builder.inttoptr(arguments[0], pointer), number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(types.uintp), made


fetch: Any = intrinsic(_fetch)
_at: Any = intrinsic(_pointer)
_carray: Any = numba.carray  # type: ignore[attr-defined]


def _floats_at(address: Any, count: Any) -> Any:
    return _carray(_at(address), (count,))


floats_at: Any = numba.njit(inline="always")(_floats_at)
"""Inside kernels, floats_at(address, count): the array of that many float32 numbers that begins there, not copied.

Whoever calls the kernel keeps it alive. Nothing checks the bounds.
"""
