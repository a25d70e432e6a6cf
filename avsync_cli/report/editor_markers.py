"""Markers as timelines that editing programs open: OpenTimelineIO's own format, written by that
library (extra `editors`), and Final Cut Pro's.

OpenTimelineIO's plugin for Final Cut is used by the tests alone: it rounds times at 29.97 frames a
second, and runs ffprobe over the film.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

from avsync_cli.errors import UsageError
from avsync_cli.report.timecode import is_drop_frame
from avsync_cli.wording import safe_text


@dataclass(frozen=True)
class Marker:
    """One stretch: its frames, from 0 and without the last one, and what to say of it."""

    first: int
    end: int
    name: str
    note: str


@dataclass(frozen=True)
class Film:
    """What a timeline says of the film that is its one clip.

    Attributes:
        path: as it was named; the clip refers to its absolute name.
        rate: frames a second.
        duration_s: its length.
    """

    path: str
    rate: Fraction
    duration_s: float

    @property
    def name(self) -> str:
        """Its name without folder and ending, printable."""
        return safe_text(Path(self.path).stem)

    @property
    def url(self) -> str:
        """Its absolute name as a URL."""
        return Path(self.path).absolute().as_uri()

    def frames(self, found: Sequence[Marker]) -> int:
        """Its length in frames, with room for all markers."""
        return max([1, round(self.duration_s * self.rate), *(marker.end for marker in found)])


def check_installed(suffix: str) -> None:
    """Raise UsageError unless files of that ending can be written."""
    if suffix == ".otio" and find_spec("opentimelineio") is None:
        what = "--markers: .otio needs opentimelineio, which is not installed"
        raise UsageError(what, "pip install '.[editors]' in a clone of avsync")


def otio_text(found: Sequence[Marker], film: Film) -> str:
    """OpenTimelineIO's JSON.

    Raises:
        UsageError: the package is not installed.
    """
    check_installed(".otio")
    import opentimelineio as otio

    def span(first: int, frames: int) -> otio.opentime.TimeRange:
        times = (otio.opentime.RationalTime(n, float(film.rate)) for n in (first, frames))
        return otio.opentime.TimeRange(*times)

    whole = span(0, film.frames(found))
    clip = otio.schema.Clip(film.name, otio.schema.ExternalReference(film.url, whole), whole)
    for marker in found:
        red = otio.schema.MarkerColor.RED
        made = otio.schema.Marker(marker.name, span(marker.first, marker.end - marker.first), red)
        made.metadata["avsync"] = {"note": marker.note}
        clip.markers.append(made)
    timeline = otio.schema.Timeline(film.name)
    timeline.tracks.append(otio.schema.Track("V1", [clip], kind=otio.schema.TrackKind.Video))
    text: str = otio.adapters.write_to_string(timeline, "otio_json")
    return text


def fcpxml_text(found: Sequence[Marker], film: Film) -> str:
    """Final Cut Pro's XML, version 1.8; every time is a whole number of frames, as it asks for."""

    def time(frames: int) -> str:
        seconds = frames / film.rate
        return f"{seconds.numerator}/{seconds.denominator}s"

    length = time(film.frames(found))
    root = ElementTree.Element("fcpxml", version="1.8")
    resources = ElementTree.SubElement(root, "resources")
    ElementTree.SubElement(resources, "format", id="r1", frameDuration=time(1))
    facts = {"src": film.url, "start": "0s", "duration": length, "hasVideo": "1", "hasAudio": "1"}
    ElementTree.SubElement(resources, "asset", facts, id="r2", name=film.name, format="r1")
    event = ElementTree.SubElement(ElementTree.SubElement(root, "library"), "event", name="avsync")
    project = ElementTree.SubElement(event, "project", name=film.name)
    counting = {"tcStart": "0s", "tcFormat": "DF" if is_drop_frame(film.rate) else "NDF"}
    sequence = ElementTree.SubElement(project, "sequence", counting, format="r1", duration=length)
    spine = ElementTree.SubElement(sequence, "spine")
    place = {"offset": "0s", "start": "0s", "duration": length}
    clip = ElementTree.SubElement(spine, "asset-clip", place, ref="r2", name=film.name, format="r1")
    for marker in found:
        where = {"start": time(marker.first), "duration": time(marker.end - marker.first)}
        said = {"value": marker.name, "note": marker.note, "completed": "0"}
        ElementTree.SubElement(clip, "marker", where | said)
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE fcpxml>\n{text}\n'
