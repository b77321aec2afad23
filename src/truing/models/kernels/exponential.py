"""e^x for loops: a call of the C library's `expf` would keep a loop from being vectorised."""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["exp"]

_LEAST, _MOST = np.float32(-87.0), np.float32(88.0)  # e^x is a normal float32 in between
_LOG2_E = np.float32(1.4426950408889634)
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)  # n · high is exact
_HALF, _ONE = np.float32(0.5), np.float32(1.0)
# e^r − 1 − r over r², |r| ≤ ln 2 / 2, of least error (as in the Cephes library, S. Moshier)
_C0, _C1, _C2 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3), np.float32(8.3334519073e-3)
_C3, _C4, _C5 = np.float32(4.1665795894e-2), np.float32(1.6666665459e-1), np.float32(5.0000001201e-1)


# Without leave to reorder sums: r would be x − n · (high + low), three times as wrong. Kernels have this inside of
# them, so that what is kept on disk is theirs.
@numba.njit(nogil=True, fastmath={"contract", "nsz"}, error_model="numpy")
def exp(x: np.float32) -> np.float32:
    """e^x to 1e-7 of itself for x in [-87, 88], beyond that as at the ends; NaN stays NaN.

    e^x = 2^n · e^r, n the nearest integer to x / ln 2: a polynomial, and n put into the exponent's bits.
    """
    x = _LEAST if x < _LEAST else x  # max() would turn NaN into a number
    x = _MOST if x > _MOST else x
    n = np.floor(x * _LOG2_E + _HALF)  # math.floor() gives an int64, and all that follows were float64
    r = x - n * _LN2_HIGH - n * _LN2_LOW
    p = ((((_C0 * r + _C1) * r + _C2) * r + _C3) * r + _C4) * r + _C5
    bits = (np.int32(n) + np.int32(127)) << np.int32(23)
    power: np.float32 = (p * r * r + r + _ONE) * np.int32(bits).view(np.float32)
    return power
