"""The filter graph that puts every piece of a sound track where its picture is, to the sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from avsync_cli.media.restamp import FOLLOW, even_stamps

KEEP_PITCH_FROM = 0.01
"""Speeds that differ by this share or more are no wrong clock but film at another frame rate,
whose sound was recorded at its right pitch; below, resampling moves the pitch by less than a
sixth of a semitone, usually back to where it was."""


@dataclass(frozen=True)
class Piece:
    """A stretch of the picture and how late its sound is.

    Attributes:
        start_s, end_s: on the file's timeline; an `end_s` of None is the end of the file.
        offset_ms: lag at `start_s`; > 0 the sound is LATE.
        drift_ms_per_min: by how much the lag grows in a minute.
    """

    start_s: float
    end_s: float | None
    offset_ms: float
    drift_ms_per_min: float = 0.0

    @property
    def speed(self) -> float:
        """How much faster than now the sound has to run."""
        return 1.0 + self.drift_ms_per_min / 60_000.0

    def offset_at(self, time_s: float) -> float:
        """Lag in ms at `time_s` if the piece reached there."""
        return self.offset_ms + self.drift_ms_per_min * (time_s - self.start_s) / 60.0


def sound_graph(
    pieces: Sequence[Piece],
    rate_hz: int,
    lead_s: float,
    pitch: str = "auto",
    *,
    nudge_ms: float = 0.0,
) -> str:
    """The filter graph, from one sound track to the same one with every piece in its place.

    What lay in the file within a piece stays within it: sound that leaves it is cut, what is
    missing is silence, so that nothing is heard twice.

    Args:
        pieces, pitch: as of `copy.Move`.
        rate_hz: of the track; all cuts are to the sample.
        lead_s: when the first picture comes; the sound begins there.
        nudge_ms: by how much all of it comes earlier beyond that.
    """
    if nudge_ms:
        pieces = [replace(piece, offset_ms=piece.offset_ms + nudge_ms) for piece in pieces]
    # With the rate named: else it is the one that the encoder wants, by which the cuts are wrong.
    name, expression = even_stamps()
    follow = ":".join(f"{key}={value}" for key, value in FOLLOW.items())
    even = f"{name}='{expression}'"
    begin = f"{even},aresample={rate_hz}:{follow}:first_pts={round(lead_s * rate_hz)}"
    stamped = f"asetpts=N/SR/TB+{lead_s:.6f}/TB"
    chains = [
        _piece_chain(piece, rate_hz, lead_s, pitch, first=k == 0, last=k == len(pieces) - 1)
        for k, piece in enumerate(pieces)
    ]
    if len(chains) == 1:
        return f"{begin},{chains[0]},{stamped}"
    ins = "".join(f"[i{k}]" for k in range(len(chains)))
    outs = "".join(f"[o{k}]" for k in range(len(chains)))
    middle = ";".join(f"[i{k}]{chain}[o{k}]" for k, chain in enumerate(chains))
    count = len(chains)
    return f"{begin},asplit={count}{ins};{middle};{outs}concat=n={count}:v=0:a=1,{stamped}"


def _piece_chain(
    piece: Piece, rate_hz: int, lead_s: float, pitch: str, *, first: bool, last: bool
) -> str:
    start_s = lead_s if first else piece.start_s
    begin = round((start_s - lead_s) * rate_hz)
    source = begin + round(piece.offset_at(start_s) * rate_hz / 1000)
    silence = max(0, round((begin - source) / piece.speed))
    source = max(source, begin)
    cut = f"atrim=start_sample={source}"
    length = 0
    if piece.end_s is not None and not last:
        end = round((piece.end_s - lead_s) * rate_hz)
        length = end - begin
        to = min(end, source + round((length - silence) * piece.speed))
        cut += f":end_sample={max(to, source + 1)}"
    chain = [cut, "asetpts=N/SR/TB"]
    if piece.speed != 1.0:
        chain += [_tempo(piece.speed, rate_hz, pitch), "asetpts=N/SR/TB"]
    if silence:
        chain.append(f"adelay={silence}S:all=1")
    if length:
        chain += [f"apad=whole_len={length}", f"atrim=end_sample={length}", "asetpts=N/SR/TB"]
    return ",".join(chain)


def _tempo(speed: float, rate_hz: int, pitch: str) -> str:
    """The filters that make sound run faster by `speed`."""
    if keeps_pitch(speed, pitch):
        return f"atempo={speed:.9f}"
    # A rate is a whole number of Hz, too coarse a step for hours of sound: so the sound is read
    # at one rate near its own and resampled to another, whose ratio is the speed to 1e-9.
    ratio = Fraction(speed).limit_denominator(60_000)
    times = max(1, round(rate_hz / ratio.denominator))
    return (
        f"asetrate={ratio.numerator * times},aresample={ratio.denominator * times},"
        f"asetrate={rate_hz}"
    )


def keeps_pitch(speed: float, pitch: str) -> bool:
    """Whether sound is moved about in small pieces, rather than resampled, to run at `speed`."""
    keep = pitch == "keep" or (pitch == "auto" and abs(speed - 1) >= KEEP_PITCH_FROM)
    return speed != 1.0 and keep and not _is_clock_mistake(speed)


def _is_clock_mistake(speed: float) -> bool:
    """Whether 44.1 kHz sound was taken for 48 kHz or the reverse; that moved its pitch as well."""
    return any(abs(speed / known - 1) < 0.002 for known in (44_100 / 48_000, 48_000 / 44_100))
