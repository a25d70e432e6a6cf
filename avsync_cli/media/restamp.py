"""Time stamps for ffmpeg's own filters, which lay sound end to end and follow stamps only where
they are off by a tenth of a second at once.

The sound of films that were joined without coding anew overlaps at each joint by up to a packet,
21 ms of AAC, which adds up until a tenth of a second is reached; players follow the stamps.
"""

from __future__ import annotations

_AT_ONCE_S = 0.1
"""A stamp further than this from where the sound stands is followed at once, as ffmpeg does."""

_SLIP_S = 0.01
"""A lasting difference beyond this is followed: under a quarter of a frame, and far more than the
rounding of stamps. Where a recorder's stamps jitter by as much, their mean does not."""

_PIECE_S = 0.2
"""A longer piece of sound counts as much as one of this length: it has one stamp all the same."""

_PER_S = 1.5
"""Share of a second of sound in the running mean: half a second decides."""

_GATHER_S = 0.7
"""Over so much sound a difference is averaged, once it is noticed, before it is followed: a single
stamp among such as jitter leads elsewhere each time, and the sound would be cut again and again."""

# ld(0): where the sound stands, in s; ld(1): mean of how far stamps are from that; ld(2): how far
# this one is; ld(3): by how much it is followed; ld(4): differences gathered, in s times s; ld(5):
# over how much sound, in s; ld(6): what of it is in this piece. T is NAN where there is no stamp.
_EXPRESSION = (
    "st(0,if(N,ld(0),if(isnan(T),0,T)));"
    "st(2,if(isnan(T),0,T-ld(0)));"
    f"st(6,min(S/SR,{_PIECE_S}));"
    f"st(1,ld(1)+(ld(2)-ld(1))*ld(6)*{_PER_S});"
    f"if(gt(ld(5),0)+gt(abs(ld(1)),{_SLIP_S}),st(4,ld(4)+ld(2)*ld(6));st(5,ld(5)+ld(6)));"
    f"st(3,if(gt(abs(ld(2)),{_AT_ONCE_S}),ld(2),if(gt(ld(5),{_GATHER_S}),ld(4)/ld(5),0)));"
    f"st(3,if(gt(abs(ld(3)),{_SLIP_S}),ld(3),0));"
    f"if(ld(3)+gt(ld(5),{_GATHER_S}),st(4,0);st(5,0));"
    "st(1,if(ld(3),0,ld(1)));"
    "st(2,ld(0)+ld(3));"
    "st(0,ld(2)+S/SR);"
    "ld(2)/TB"
)


def even_stamps() -> tuple[str, str]:
    """The filter and its argument that stamp each piece of sound at the end of the one before, or
    where the file's stamps say that it belongs if that is elsewhere for good.

    `FOLLOW` of `aresample` then does what these stamps say.
    """
    return "asetpts", _EXPRESSION


FOLLOW = {"async": 1, "min_hard_comp": 0.001}
"""Arguments of `aresample`: silence where stamps leave a gap, a cut where sound overlaps."""
