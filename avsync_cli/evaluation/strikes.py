"""Strikes by eye and ear (`verdict.strikes`) as a scorer: a row in the tables of `avsync eval`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from avsync_cli.evaluation.scoring import OpenTrack, Scorer, Scores, Track
from avsync_cli.model.features import centre_crop
from avsync_cli.regions.crops import FRAME_PX
from avsync_cli.regions.motion import contact_strength
from avsync_cli.timebase import FPS, HOPS_PER_FRAME
from avsync_cli.verdict.strikes import blow_likelihoods, coincidence, find_onsets, onset_strength


class StrikeScorer(Scorer):
    """Blows in the picture at the onsets of the sound."""

    name = "strikes / onsets"
    note = "no learning"

    def open(self, track: Track, reach: int, others: Sequence[OpenTrack] = ()) -> OpenTrack:
        return StrikeTrack(track)


class StrikeTrack:
    """A track of which the strikes are known; `onsets` are those of its sound."""

    def __init__(self, track: Track) -> None:
        self._track = track
        self.onsets = find_onsets(onset_strength(track.sound))
        self._strengths = [
            contact_strength(centre_crop(p, FRAME_PX), np.arange(len(p)) / FPS, 0.0)
            for p in track.pictures
        ]

    def scores(self, first: int, frames: int, offsets: np.ndarray, alone: bool = True) -> Scores:
        steps = np.asarray(offsets) * HOPS_PER_FRAME
        return Scores(self.curve(first, frames, steps), "similarity")

    def curve(self, first: int, frames: int, steps: np.ndarray) -> np.ndarray:
        """(O,) log-odds of a window, as of `coincidence`, at offsets in steps of 10 ms."""
        at = (self._track.first_frame + first) * HOPS_PER_FRAME
        found = [
            coincidence(
                blow_likelihoods(
                    self._strengths[k][start * HOPS_PER_FRAME : (start + frames) * HOPS_PER_FRAME]
                ),
                self.onsets,
                at,
                steps,
            )
            for k, start in self._track.seen(first, frames)
        ]
        return np.max(found, axis=0)
