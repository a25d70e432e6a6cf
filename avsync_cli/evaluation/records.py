"""What an evaluation writes down: single judgements, and the rows of its tables.

Rows come for "all", by kind, by source and by speaker: a row's `source`, `speaker` and `kind` say
which; "" means all of them, but for `source`, which is "all" then. `rule` says what a row's clips
are measured against: "0" for clips taken to be in sync as they are, "own" for clips of sources that
carry an offset of their own, which count relative to the clip's own zero only.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

REACH_FRAMES = 15
"""Offsets tried on either side, as published figures have it."""

NEAR_FRAMES = 1
"""An offset within one frame counts as right."""

Rule = Literal["0", "own"]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Group:
    """What a row of a table is about; see above.

    Attributes:
        source, speaker, kind: which clips; "" (for `source`: "all") means all of them.
        rule: what they are measured against.
    """

    source: str
    speaker: str
    kind: str
    rule: Rule


@dataclass(frozen=True)
class Origin:
    """Where a judgement comes from.

    Attributes:
        clip: its key.
        source, speaker, kind: of the manifest.
        rule: what the clip is measured against.
    """

    clip: str
    source: str
    speaker: str
    kind: str
    rule: Rule


@dataclass(frozen=True, kw_only=True)
class WindowRecord:
    """One window, judged at -R..R frames and with sound from elsewhere in its clip.

    Attributes:
        origin: where it comes from.
        frames: its length.
        by: which score this is: "decision", "similarity", "distance", "correlation".
        threshold: score above which a pair is called in sync; None where the scorer has none.
        score: (2 R + 1,) higher is better.
        own: offset in frames that the rest of its clip says; None if there is too little rest.
        elsewhere: (K,) scores with the sound of other positions of the clip.
        confidence: (2 R + 1,) of the attention, empty where there is none.
        elsewhere_confidence: (K,) likewise.
        heard: whether there is anything to be heard in it; see `sweep.heard`.
    """

    origin: Origin
    frames: int
    by: str
    threshold: float | None
    score: np.ndarray
    own: int | None
    elsewhere: np.ndarray
    confidence: np.ndarray
    elsewhere_confidence: np.ndarray
    heard: bool = True

    @property
    def best(self) -> int:
        """Offset in frames at which it fits best."""
        return int(np.argmax(self.score)) - len(self.score) // 2

    @property
    def zero(self) -> int | None:
        """Offset in frames at which it counts as in sync; None if that is not known."""
        return 0 if self.origin.rule == "0" else self.own


@dataclass(frozen=True, kw_only=True)
class PlacementRow(Group):
    """Placement of the windows of one group at one length.

    "all" under rule "0" leaves out sources that carry an offset of their own.

    Attributes:
        frames: window length.
        by: the score that was used.
        windows: how many count under rule "0".
        within, within_ci: share placed within one frame of 0, and its 95 % interval.
        median_frames: median offset found; other than 0 for sources with an offset of their own.
        own_windows: how many windows have a rest of the clip to be compared with.
        own_within, own_ci: share of these placed within one frame of what that rest says.
        heard_windows: how many windows count under `rule` in which anything is heard: a pause
            says little of its place.
        heard_within, heard_ci: share of these placed within one frame under that rule.
    """

    frames: int
    by: str
    windows: int
    within: float
    within_ci: Interval
    median_frames: float
    own_windows: int
    own_within: float
    own_ci: Interval
    heard_windows: int = 0
    heard_within: float = float("nan")
    heard_ci: Interval = (float("nan"), float("nan"))


@dataclass(frozen=True, kw_only=True)
class ClassRow(Group):
    """The paper's question, in sync or not, for one group at one window length.

    Attributes:
        frames, by: as in `PlacementRow`.
        windows: windows with a negative of either sort.
        hard, hard_ci: balanced accuracy against the same sound shifted by 2..15 frames, at the
            scorer's own threshold, and its 95 % interval; NaN where it has none.
        hard_auc: chance that a true pair scores above a shifted one, over all windows.
        easy, easy_ci, easy_auc: likewise against the sound of another position of the same video,
            more than 15 frames away.
    """

    frames: int
    by: str
    windows: int
    hard: float
    hard_ci: Interval
    hard_auc: float
    easy: float
    easy_ci: Interval
    easy_auc: float


@dataclass(frozen=True, kw_only=True)
class ShiftRow:
    """One clip judged with its sound moved by a known amount.

    Attributes:
        path: the clip's key.
        source, speaker: of the clip.
        way: "file" (written anew and judged from the file) or "cache" (moved in its cached sound).
        shift_ms: by how much the sound was moved (> 0: later).
        moved_ms: by how much the estimate moved.
        right: whether that is within 40 ms.
        confidence: of the estimate on the shifted clip.
        decided: whether both got an answer.
    """

    path: str
    source: str
    speaker: str
    way: str
    shift_ms: int
    moved_ms: float
    right: bool
    confidence: float
    decided: bool

    @property
    def origin(self) -> Origin:
        """Where it comes from; shifts are followed whatever a clip's own offset is."""
        return Origin(self.path, self.source, self.speaker, "", "0")


@dataclass(frozen=True, kw_only=True)
class ShiftSummary:
    """Known shifts of one group.

    Attributes:
        source, speaker, way: the group.
        clips, shifts: how many.
        median_ms, p95_ms: of |estimate's movement - shift|.
        within_10, within_20, within_40: shares of shifts.
        within_40_ci: 95 % interval.
        clips_right: share of the clips of which 95 % of the shifts are within 40 ms.
        decided: share of shifts where both estimates count as answers.
    """

    source: str
    speaker: str
    way: str
    clips: int
    shifts: int
    median_ms: float
    p95_ms: float
    within_10: float
    within_20: float
    within_40: float
    within_40_ci: Interval
    clips_right: float
    decided: float


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """One stretch of a clip, judged as `score` would judge a file of it.

    Attributes:
        origin: where it comes from.
        seconds: its length.
        truth_ms: the lag it has; NaN when its sound is another clip's.
        guess_ms: the likeliest lag.
        confidence: of the verdict.
        decided: whether the verdict is an answer.
        covered: whether its interval holds the truth; None when undecided.
    """

    origin: Origin
    seconds: float
    truth_ms: float
    guess_ms: float
    confidence: float
    decided: bool
    covered: bool | None

    @property
    def right(self) -> bool:
        """Whether the guess is within one frame (40 ms) of the truth."""
        return abs(self.guess_ms - self.truth_ms) <= 40.0


@dataclass(frozen=True, kw_only=True)
class ConfidenceRow(Group):
    """How confidence and truth agree in one group of stretches.

    Attributes:
        stretches: how many.
        right: share whose likeliest lag is within one frame.
        ece: expected calibration error of the confidence, 10 bins; with its interval.
        decided: share with an answer.
        undecided: 1 - decided.
        wrong: share of the answers that are off by more than a frame; with its interval.
        covered: share of the answers whose interval holds the truth.
    """

    stretches: int
    right: float
    ece: float
    ece_ci: Interval
    decided: float
    undecided: float
    wrong: float
    wrong_ci: Interval
    covered: float


@dataclass(frozen=True, kw_only=True)
class Certainty:
    """Reliability and risk of a model's confidence.

    Attributes:
        rows: by group, "all" first.
        bins: of the reliability diagram: (low, high, stretches, mean confidence, share right).
        risk: (least confidence, share answered, share of the answers wrong).
        bar: confidence below which a verdict is "undecided" as shipped.
        strangers: stretches given another clip's sound, which have no lag.
        strangers_decided: share of them answered all the same.
    """

    rows: list[ConfidenceRow] = field(default_factory=list)
    bins: list[tuple[float, float, int, float, float]] = field(default_factory=list)
    risk: list[tuple[float, float, float]] = field(default_factory=list)
    bar: float = float("nan")
    strangers: int = 0
    strangers_decided: float = float("nan")


@dataclass(frozen=True)
class Histogram:
    """Counts of a value for pairs in sync and not in sync, as shares of each.

    Attributes:
        edges: (B + 1,).
        positive, hard, easy: (B,) shares of pairs in sync, shifted by 2..15 frames, and with the
            sound of another position.
    """

    edges: list[float]
    positive: list[float]
    hard: list[float]
    easy: list[float]


@dataclass(frozen=True, kw_only=True)
class AttentionTrace:
    """Attention and sound of one clip over time.

    Attributes:
        name: source and speaker.
        at_s: (N,) middle of each block.
        weight: (N,) its share in the softmax over all of them, times N: 1 is the mean.
        sound_s, sound_db: (S,) loudness of every frame.
    """

    name: str
    at_s: list[float]
    weight: list[float]
    sound_s: list[float]
    sound_db: list[float]


@dataclass(frozen=True)
class CellMaps:
    """A rendered clip's pictures with the attention's weights within each block.

    Attributes:
        name: what was rendered.
        pictures: (B, 96, 96) uint8, the middle of every block.
        cells: (B, h, w), each summing to 1.
        side_px: side of the square in the pictures' middle that the cells cover.
    """

    name: str
    pictures: np.ndarray
    cells: np.ndarray
    side_px: int


@dataclass(frozen=True)
class Showcase:
    """What is shown of one model."""

    traces: list[AttentionTrace] = field(default_factory=list)
    maps: list[CellMaps] = field(default_factory=list)


@dataclass(kw_only=True)
class EvalReport:
    """Everything measured of one scorer.

    Attributes:
        model: its name and version.
        attention: "none", "temporal", "spatio-temporal", or "" for what has none.
        note: what a table must say of it ("re-trained on the same data").
        family: the same for models that differ by nothing but their seed; "" where unknown.
        placement: all and by source; by_speaker, by_kind: the same questions of other groups.
        classes: the paper's question, in all groups.
        shifts, shift_summary: known shifts, one by one and by group.
        certainty: of the confidence; None where it was not measured.
        histograms: by the name of what is counted.
        failed: clips that could not be used, with the reason.
        showcase: pictures of the attention; None where they were not made, and not in the JSON.
        others: reports of what it is compared with.
    """

    model: str
    attention: str = ""
    note: str = ""
    family: str = ""
    placement: list[PlacementRow] = field(default_factory=list)
    by_speaker: list[PlacementRow] = field(default_factory=list)
    by_kind: list[PlacementRow] = field(default_factory=list)
    classes: list[ClassRow] = field(default_factory=list)
    shifts: list[ShiftRow] = field(default_factory=list)
    shift_summary: list[ShiftSummary] = field(default_factory=list)
    certainty: Certainty | None = None
    histograms: dict[str, Histogram] = field(default_factory=dict)
    failed: list[tuple[str, str]] = field(default_factory=list)
    showcase: Showcase | None = None
    others: list[EvalReport] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values; the showcase, which is pictures, is left out."""
        plain = asdict(replace(self, showcase=None, others=[]))
        del plain["showcase"]
        plain["others"] = [other.to_json() for other in self.others]
        return plain
