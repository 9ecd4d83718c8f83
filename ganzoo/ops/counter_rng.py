"""Random numbers that are a function of a seed and a place: a counter-based generator of integer arithmetic.

torch's generators and onnxruntime's give different numbers, and a number depends on those drawn before it. Here number i of
seed s is ``E_s(i)``, where E is a small block cipher over the integers modulo a prime (MiMC: Albrecht et al. 2016, "MiMC:
Efficient Encryption and Cryptographic Hashing with Minimal Multiplicative Complexity", with exponent 5). Sums, products and
remainders of int64 are all that it needs, so every runtime draws the same numbers. It is for noise, not for secrets.
"""

from math import prod

import torch
from torch import Tensor

MODULUS = 2**31 - 1  # a product of two numbers below it fits into int64, and x -> x^5 is one to one
_SECOND = 2**31 - 19  # another prime: the two remainders of a seed tell all seeds below 2^61 apart
_CONSTANTS = 608135816, 87254739, 320440878, 57701188  # one for each round: the digits of pi, as is usual
_STREAM = 1640531527


def random_integers(seeds: Tensor, stream: int, n: int) -> Tensor:
    """Draws integers that are uniform from 0 to ``MODULUS`` - 1.

    Args:
        seeds: int64 [N], each from 0 to 2^61.
        stream: number of the stream, from 0; each stream of a seed has other numbers.
        n: how many for each seed, at most ``MODULUS``.

    Returns:
        int64 [N, n]; row k depends on seed k only.
    """
    keys = (seeds % MODULUS)[:, None], (seeds % _SECOND + stream * _STREAM % MODULUS)[:, None]
    numbers = torch.arange(n, device=seeds.device)[None]
    for turn, constant in enumerate(_CONSTANTS):
        x = (numbers + keys[turn % 2] + constant) % MODULUS
        square = x * x % MODULUS
        numbers = square * square % MODULUS * x % MODULUS
    return (numbers + keys[0]) % MODULUS


def dropout_mask(seeds: Tensor, stream: int, like: Tensor, p: float) -> Tensor:
    """Draws the factors of dropout: 0 with probability p, else 1 / (1 - p).

    Args:
        seeds: int64 [N], one for each image.
        stream: number of the dropout layer, from 0.
        like: what is multiplied by the mask, [N, ...].
        p: share of zeros, from 0 to 1.

    Returns:
        A tensor of the shape and the type of ``like``; entry k depends on seed k only.
    """
    drawn = random_integers(seeds, stream, prod(like.shape[1:]))
    kept = drawn.view(like.shape) >= round(p * MODULUS)
    return kept.to(like.dtype) * (1 / (1 - p) if p < 1 else 0.0)
