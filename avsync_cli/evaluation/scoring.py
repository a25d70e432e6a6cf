"""One interface for whatever can say how well sound fits picture: our models and baselines.

A scorer opens a track of a clip and then scores windows of it at any offsets. The protocols know
nothing else of it, so that every row of a comparison comes from the same windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from avsync_cli.model.engine import Engine


@dataclass(frozen=True)
class Track:
    """A region track of a clip and the clip's sound, opened.

    Attributes:
        crops: (T, 96, 96) uint8.
        first_frame: of the track on the clip's timeline.
        sound: (S,) float32 in -1..1 of the whole clip, S a multiple of 640.
        beside: crops and first frame of other faces that are seen for some of the time.
    """

    crops: np.ndarray
    first_frame: int
    sound: np.ndarray
    beside: tuple[tuple[np.ndarray, int], ...] = ()

    @property
    def pictures(self) -> list[np.ndarray]:
        """Crops of the track and of the faces beside it."""
        return [self.crops, *(crops for crops, _ in self.beside)]

    def seen(self, first: int, frames: int) -> list[tuple[int, int]]:
        """Which faces show the whole of a stretch: in a file they compete, and so they do here.

        Args:
            first, frames: the stretch, counted from the track's start.

        Returns:
            number among `pictures` and the frame of it at which the stretch begins; the track
            itself is the first.
        """
        starts = [(k, self.first_frame + first - at) for k, (_, at) in enumerate(self.beside, 1)]
        lengths = [len(crops) for crops in self.pictures]
        return [(0, first), *((k, s) for k, s in starts if 0 <= s <= lengths[k] - frames)]


NO_CONFIDENCE = np.zeros(0, np.float32)


class Scores(NamedTuple):
    """Scores of one window.

    Attributes:
        score: (O,) higher means a better fit.
        by: what it is: "decision", "similarity", "distance" or "correlation".
        threshold: score above which a pair counts as in sync; None where there is none.
        confidence: (O,) of the attention; empty where there is none.
    """

    score: np.ndarray
    by: str
    threshold: float | None = None
    confidence: np.ndarray = NO_CONFIDENCE


class OpenTrack(Protocol):
    """A track that a scorer has looked at."""

    def scores(self, first: int, frames: int, offsets: np.ndarray, alone: bool = True) -> Scores:
        """Score the window of `frames` frames from the track's frame `first` on.

        Args:
            first, frames: the window.
            offsets: (O,) frames by which the sound is taken later than the picture; beyond the
                clip there is silence. Where several faces show the whole window, each may be the
                one that speaks.
            alone: whether nothing of the picture outside the window may be seen. False lets a few
                neighbouring frames in, which is cheaper.
        """
        ...


class Scorer(Protocol):
    """What can be evaluated.

    Attributes:
        name: with version, for tables.
        note: what tables must say beside the name, or "".
        attention: variant of our models, "" for others.
        family: the same for models that differ by nothing but their seed; "" where unknown.
        engine: the model behind it, for the protocols that need verdicts; None for baselines.
    """

    name: str
    note: str = ""
    attention: str = ""
    family: str = ""
    engine: Engine | None = None

    def open(self, track: Track, reach: int, others: Sequence[OpenTrack] = ()) -> OpenTrack:
        """Encode a track; offsets up to `reach` frames beyond the clip's ends will be asked for.

        Of `others`, which are the same track opened by other scorers, features may be taken over
        where the encoders are the same.
        """
        ...
