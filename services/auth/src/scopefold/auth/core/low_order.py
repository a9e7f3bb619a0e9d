"""Ed25519 keys that sign everything: points whose order divides 8, with which anybody makes signatures that verify.

Verification as RFC 8032, section 5.1.7, has it takes them.
"""

from typing import Final

_P: Final = 2**255 - 19
_D: Final = -121665 * pow(121666, -1, _P) % _P
_Y_BITS: Final = 2**255 - 1
"""The first bit of an encoded point is the sign of its x (RFC 8032, section 5.1.2)."""


def is_low_order(public_key: bytes) -> bool:
    """Is this public key, encoded as RFC 8032 has it, one of these points, also where its y is written too large?

    On -x^2 + y^2 = 1 + d x^2 y^2, y is 1 or -1 at order 1 and 2, 0 at order 4; a point of order 8 doubles to y = 0, so
    that x^2 = -y^2 there.
    """
    y = int.from_bytes(public_key, "little") & _Y_BITS
    return y * (y**2 - 1) * (_D * y**4 + 2 * y**2 - 1) % _P == 0
