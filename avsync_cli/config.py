"""Every default of avsync in one place, each with its reason; what values may be, and where
things lie.

The layers that may change a default, configuration files and variables, belong to the command line
(`cli.layers`).
"""

from __future__ import annotations

import difflib
import math
import re
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from avsync_cli.errors import UsageError
from avsync_cli.timebase import HOP_MS

Command = Literal["score", "offset-scan"]
COMMANDS: tuple[Command, ...] = ("score", "offset-scan")

ATTENTIONS = ("none", "temporal", "spatio-temporal")
"""The three ways a model may weigh its evidence (arXiv 1812.06071, section 3.2)."""

RANGE_LIMIT_MS = 30_000
"""Widest scan: beyond it, chance likenesses outnumber the evidence of an ordinary clip, and the
sound needed around every block would no longer be small."""

_FURTHER, _FURTHEST_MS = 4, 5_000
"""Where nothing fits, so many times as far is looked, but no further than the other."""

STEP_LIMIT_MS = 1_000
LEAST_MOST_S = 30
"""Three stretches of ten seconds: head, middle and tail of a film."""

THREADS_LIMIT = 256


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run of `score` or `offset-scan` needs to know besides its files.

    Attributes:
        range_ms: offsets from -range to +range are tried.
        further: whether a file in which nothing fits any of them is looked at once more, up to
            `further_ms(range_ms)`; False where somebody asked for a range.
        step_ms: distance between two of them; a multiple of the 10 ms log-mel step.
        model: name of a bundled model, or a folder.
        attention: which variant of the model; None takes the model as it is.
        tolerance: name of a profile, or "EARLY:LATE" in ms.
        min_confidence: least confidence of an answer, 0.5 to 0.999; None takes the model's own.
        slate: look for a clap at the head and tell its frame, its sample and its lag.
        threads: threads for inference; 0 uses half the cores.
        quick: read stretches of a long file until they settle it, not all of it.
        until: with `quick`, the probability from which on an answer is sure.
        most_s: with `quick`, seconds of the file to read at the most; None reads on, all of the
            file in the end, until the answer is sure.
    """

    range_ms: int = 1_000
    # Sound that a chain of devices delays lies within a second; a narrow scan has fewer chance
    # peaks, so that a short clip can be decided.
    further: bool = True
    # Few files are off by more; of those that are half get an answer at a second look, and hardly
    # any other file does: "A second look" of docs/measurements.md.
    step_ms: int = HOP_MS
    # The resolution of the sound features: finer steps would only interpolate.
    model: str = "default"
    attention: str | None = None
    # The bundled default is the variant with the best figures on the test clips.
    tolerance: str = "itu"
    # Where half of the viewers begin to notice: the question people ask most. The others are
    # limits that a broadcaster or distributor sets.
    min_confidence: float | None = None
    # The model's own is a person's trade: by the bundled one's, 84 % of its calibration's cases get
    # an answer, and 1 % of these a wrong one (`calibration_outcome` in its model.json).
    threads: int = 0
    slate: bool = False
    quick: bool = False
    # All of a file is read where nobody asks for less: only that finds a short stretch gone wrong.
    until: float = 0.99
    # The confidence of a whole film that is clear is 0.994 to 0.998: more cannot be asked for.
    most_s: float | None = None

    def but(self, **values: Any) -> Settings:
        """The same with what somebody asked for; a range is a limit then."""
        return replace(self, **values, further=self.further and "range_ms" not in values)

    def checked(self) -> Settings:
        """Itself in whole ms, if every value can be meant.

        Raises:
            UsageError: naming the first that cannot, or what does not go together.
        """
        range_ms, step_ms = check_range_ms(self.range_ms), check_step_ms(self.step_ms)
        check_threads(self.threads)
        check_until(self.until)
        check_most_s(self.most_s)
        tolerance_profile(self.tolerance)
        if self.attention is not None:
            check_attention(self.attention)
        if self.min_confidence is not None:
            check_confidence(self.min_confidence)
        if self.step_ms > self.range_ms:
            raise UsageError("the step is wider than the range", "narrow --step or widen --range")
        return replace(self, range_ms=range_ms, step_ms=step_ms)


DEFAULTS: Mapping[Command, Settings] = {
    "score": Settings(),
    # A scan is asked for when the offset is thought to be large: two seconds, as in the paper's
    # own search, covers reels and streams that were cut apart.
    "offset-scan": Settings(range_ms=2_000),
}


# --- Tolerance ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Profile:
    """How early and how late the sound may be, in ms >= 0, and who says so.

    `early_ms` and `late_ms` are None for the profile "frame", which depends on the file.
    """

    name: str
    early_ms: float | None
    late_ms: float | None
    source: str


TOLERANCES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile("itu", 45, 125, "ITU-R BT.1359 (detectable)"),
        Profile("itu-accept", 90, 185, "ITU-R BT.1359 (acceptable)"),
        Profile("ebu", 40, 60, "EBU R37"),
        Profile("atsc", 15, 45, "ATSC IS-191"),
        Profile("film", 22, 22, "film practice"),
        Profile("frame", None, None, "one frame of the file"),
    )
}


def tolerance_profile(text: str) -> Profile:
    """The profile called `text`, or the one that "EARLY:LATE" (ms) describes.

    Raises:
        UsageError: for an unknown name or unusable numbers.
    """
    name = text.strip().lower()
    if name in TOLERANCES:
        return TOLERANCES[name]
    pair = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)(?:ms)?:(\d{1,9}(?:\.\d{1,9})?)(?:ms)?", name)
    if pair is None:
        known = ", ".join(TOLERANCES)
        nearest = suggestion(name, TOLERANCES)
        hint = nearest or f"use one of {known}, or EARLY:LATE in ms such as 40:60"
        raise UsageError(f"unknown tolerance {brief(text)}", hint)
    early, late = float(pair[1]), float(pair[2])
    if max(early, late) > RANGE_LIMIT_MS:
        hint = f"{RANGE_LIMIT_MS // 1000} s is the most that can be measured"
        raise UsageError(f"a tolerance of {max(early, late):.10g} ms tolerates everything", hint)
    return Profile(f"{early:g}:{late:g}", early, late, f"{early:g} ms early to {late:g} ms late")


# --- Values ---------------------------------------------------------------------------------------

_UNITS_MS = {"ms": 1.0, "s": 1_000.0, "m": 60_000.0, "min": 60_000.0, "h": 3_600_000.0}


def parse_duration_ms(text: str, unit: str = "s") -> float:
    """A duration in ms from `2s`, `500ms`, `1.5m`, `0:30`, `1:02:03.5` or a plain number.

    Args:
        text: what was typed; never negative.
        unit: unit of a plain number.

    Raises:
        UsageError: when it is none of these.

    >>> parse_duration_ms("2s"), parse_duration_ms("0:30"), parse_duration_ms("10", unit="ms")
    (2000.0, 30000.0, 10.0)
    """
    compact = text.strip().lower()
    clock = re.fullmatch(r"(?:(\d{1,9}):(?=[0-5]?\d:))?(\d{1,9}):([0-5]?\d(?:\.\d{1,9})?)", compact)
    if clock is not None:
        hours, minutes, seconds = clock[1] or "0", clock[2], clock[3]
        return (int(hours) * 3600 + int(minutes) * 60 + float(seconds)) * 1000.0
    number = re.fullmatch(r"(\d{1,12}(?:\.\d{0,20})?|\.\d{1,20})\s*(ms|s|min|m|h)?", compact)
    if number is None:
        hint = "write 2s, 500ms, 0:30 or plain seconds"
        raise UsageError(f"{brief(text)} is no duration", hint)
    return float(number[1]) * _UNITS_MS[number[2] or unit]


def check_range_ms(value: float) -> int:
    """`value` rounded to ms, if a scan can be that wide."""
    if not HOP_MS <= value <= RANGE_LIMIT_MS:
        limit = f"{HOP_MS} ms to {RANGE_LIMIT_MS // 1000} s"
        raise UsageError(f"a range of {value:.10g} ms cannot be scanned", f"choose {limit}")
    return round(value)


def further_ms(range_ms: float) -> float:
    """How far to look where nothing fits within a range; the same range where that is wide."""
    return max(range_ms, min(_FURTHER * range_ms, _FURTHEST_MS))


def check_step_ms(value: float) -> int:
    """`value` as whole ms, if it is a multiple of the log-mel step."""
    if not HOP_MS <= value <= STEP_LIMIT_MS or value % HOP_MS:
        hint = f"choose a multiple of {HOP_MS} ms up to {STEP_LIMIT_MS} ms"
        raise UsageError(f"a step of {value:.10g} ms is not possible", hint)
    return int(value)


def check_threads(value: int) -> int:
    """`value`, if that many threads make sense; 0 stands for all cores."""
    if not 0 <= value <= THREADS_LIMIT:
        raise UsageError(f"{brief(value)} threads are not possible", f"choose 0 to {THREADS_LIMIT}")
    return value


def check_confidence(value: float) -> float:
    """`value`, if an answer may be asked to be that sure: below 0.5 it would sooner be wrong, and
    what is surer than 0.999 was never measured."""
    if not 0.5 <= value <= 0.999:
        raise UsageError(f"no answer can be asked to be {value:g} sure", "choose 0.5 to 0.999")
    return value


def check_until(value: float) -> float:
    """`value`, if one can be so sure of an answer."""
    if not 0.8 <= value <= 0.99:
        hint = "choose 0.8, below which nothing is answered, to 0.99"
        raise UsageError(f"one cannot read on until {value:g} sure", hint)
    return value


def check_most_s(value: float | None) -> float | None:
    """`value`, if that is time enough to judge anything by."""
    if value is not None and not LEAST_MOST_S <= value < math.inf:
        hint = f"choose {LEAST_MOST_S} s or more"
        raise UsageError(f"nothing is settled by {value:g} s of a film", hint)
    return value


def check_attention(value: str) -> str:
    """`value`, if it names a kind of attention."""
    if value not in ATTENTIONS:
        hint = suggestion(value, ATTENTIONS) or f"use one of {', '.join(ATTENTIONS)}"
        raise UsageError(f"unknown attention {brief(value)}", hint)
    return value


def suggestion(word: str, known: Iterable[str], prefix: str = "") -> str:
    """ "did you mean ...?" with the nearest known word, or "" if none is near; a
    `prefix` that all of them share makes none nearer.

    >>> suggestion("AVSYNC_RANG", ["AVSYNC_RANGE"], "AVSYNC_")
    "did you mean 'AVSYNC_RANGE'?"
    """
    rests = [each.removeprefix(prefix) for each in known]
    near = difflib.get_close_matches(word.removeprefix(prefix), rests, n=1, cutoff=0.6)
    return f"did you mean {prefix + near[0]!r}?" if near else ""


def brief(value: object) -> str:
    """The start of a value as it would be written in Python, however long or deep it is."""
    return reprlib.repr(value)


# --- Places ---------------------------------------------------------------------------------------


def user_config_file() -> Path:
    """Where the user's own configuration file would be."""
    import platformdirs

    return platformdirs.user_config_path("avsync", appauthor=False) / "config.toml"


def user_cache() -> Path:
    """Where decoded clips are kept that no other folder was named for."""
    import platformdirs

    return platformdirs.user_cache_path("avsync", appauthor=False) / "clips"


def shipped(name: str) -> Path:
    """What comes with avsync, by its name in a source checkout; else its place in the package."""
    package = Path(__file__).resolve().parent
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / name).exists():
        return checkout / name
    return package / f"_{name}"


def models_dir() -> Path:
    """Folder with the bundled models."""
    return shipped("models")


def model_names() -> list[str]:
    """Names of the bundled models, in order."""
    return sorted(path.parent.name for path in models_dir().glob("*/model.json"))
