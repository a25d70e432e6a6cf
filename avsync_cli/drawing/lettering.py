"""Letters for pictures that are drawn without a font: five dots by seven, smoothed when enlarged.

Made for axis labels and captions: what has no letter here is drawn as a small box.
"""

from __future__ import annotations

import functools

import numpy as np

ROWS, COLUMNS = 7, 5
ADVANCE = 6
"""Dots from the start of one letter to that of the next."""

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUV"

# Seven digits a letter, one a row from the top, in base 32: its five bits are the row's dots.
_LETTERS = dict(
    pair.split("=", 1)
    for pair in """
0=EHHHHHE 1=4C4444E 2=EH1248V 3=V2421HE 4=26AIV22 5=VGU11HE 6=68GUHHE 7=V124888 8=EHHEHHE
9=EHHF12C A=EHHVHHH B=UHHUHHU C=EHGGGHE D=SIHHHIS E=VGGUGGV F=VGGUGGG G=EHGNHHF H=HHHVHHH
I=E44444E J=72222IC K=HIKOKIH L=GGGGGGV M=HRLLHHH N=HHPLJHH O=EHHHHHE P=UHHUGGG Q=EHHHLID
R=UHHUKIH S=FGGE11U T=V444444 U=HHHHHHE V=HHHHHA4 W=HHHLLLA X=HHA4AHH Y=HHHA444 Z=V1248GV
a=00E1FHF b=GGMPHHU c=00EGGHE d=11DJHHF e=00EHVGE f=698S888 g=0FHHF1E h=GGMPHHH i=40C444E
j=20622IC k=GGIKOKI l=C44444E m=00QLLHH n=00MPHHH o=00EHHHE p=0UHHUGG q=0FHHF11 r=00MPGGG
s=00FGE1U t=88S8896 u=00HHHJD v=00HHHA4 w=00HHLLA x=00HA4AH y=0HHHF1E z=00V248V !=4444404
"=AAA0000 #=AAVAVAA $=4FKE5U4 %=OP248J3 &=CIK8LID '=4480000 (=2488842 )=8422248 *=04LEL40
+=044V440 ,=0000448 -=000V000 .=00000CC /=01248G0 :=0CC0CC0 ;=0CC0C48 <=248G842 >=8421248
?=EH12404 @=EH1DLLE [=E88888E ]=E22222E ^=4AH0000 _=000000V {=2448442 }=8442448 |=4444444
~=008L200 ±=44V440V –=000V000 ·=0004000
""".split()
)
_LETTERS |= {"=": "00V0V00", " ": "0000000", "`": "8420000", "\\": "0G84210"}
_UNKNOWN = "VHHHHHV"


@functools.cache
def _letter(char: str) -> np.ndarray:
    """(7, 5) bool dots of one character."""
    rows = [_DIGITS.index(digit) for digit in _LETTERS.get(char, _UNKNOWN)]
    return np.array([[bool(row >> (4 - x) & 1) for x in range(COLUMNS)] for row in rows])


def _doubled(dots: np.ndarray) -> np.ndarray:
    """Twice as many dots, with the corners of slanting strokes filled: a dot takes the state of
    two neighbours that meet at its corner where the opposite two differ from them."""
    padded = np.pad(dots, 1)
    up, down = padded[:-2, 1:-1], padded[2:, 1:-1]
    left, right = padded[1:-1, :-2], padded[1:-1, 2:]
    out = dots.repeat(2, axis=0).repeat(2, axis=1)
    for row, column, a, b, c, d in (
        (0, 0, left, up, down, right),
        (0, 1, up, right, left, down),
        (1, 0, down, left, right, up),
        (1, 1, right, down, up, left),
    ):
        out[row::2, column::2] = np.where((a == b) & (a != c) & (b != d), a, dots)
    return out


@functools.lru_cache(maxsize=512)
def text_mask(text: str, dot_px: int) -> np.ndarray:
    """How much of each pixel a line of text covers.

    Args:
        text: one line.
        dot_px: pixels a dot, at least 1.

    Returns:
        (7 dot_px, width) float32, 0..1; do not write to it.
    """
    blank = np.zeros((ROWS, ADVANCE - COLUMNS), bool)
    parts = [part for char in text for part in (_letter(char), blank)][:-1]
    dots = np.concatenate(parts, axis=1) if parts else np.zeros((ROWS, 0), bool)
    if dot_px == 1 or not dots.size:
        return dots.repeat(dot_px, axis=0).astype(np.float32)
    fine = _doubled(_doubled(dots)).repeat(dot_px, axis=0).repeat(dot_px, axis=1)
    shape = (ROWS * dot_px, 4, dots.shape[1] * dot_px, 4)
    mask: np.ndarray = fine.reshape(shape).mean(axis=(1, 3), dtype=np.float32)
    return mask


def text_width(text: str, dot_px: int) -> int:
    """Pixels that `text_mask` would be wide."""
    return max(0, len(text) * ADVANCE - 1) * dot_px
