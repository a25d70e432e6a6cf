"""Marker files read back by OpenTimelineIO's own readers."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any
from xml.etree import ElementTree

import pytest

from avsync_cli.__main__ import main
from avsync_cli.report import editor_markers
from avsync_cli.report.markers import marker_file, markers
from avsync_cli.report.timecode import exact_rate, frame_of, is_drop_frame
from avsync_cli.verdict.answer import Judgement, Segment

otio: Any = pytest.importorskip(
    "opentimelineio", reason="NO OPENTIMELINEIO: marker files were not read back"
)
pytest.importorskip("otio_fcpx_xml_adapter")
pytest.importorskip("otio_cmx3600_adapter")

Make = Callable[..., Judgement]

RATES = [24000 / 1001, 24.0, 25.0, 30000 / 1001, 30.0, 50.0, 60000 / 1001]


def _judgement(make: Make, fps: float, path: str = "holiday & \u202e<b>.mp4") -> Judgement:
    spans = [(2.0, 70.0, 120.0), (70.0, 90.0, None), (90.0, 250.0, -80.0)]
    segments = [
        Segment(
            start_s=start_s,
            end_s=end_s,
            offset_ms=offset_ms,
            offset_ci_ms=None if offset_ms is None else (offset_ms - 10.0, offset_ms + 10.0),
            confidence=0.97,
            status="undecided" if offset_ms is None else "out_of_sync",
        )
        for start_s, end_s, offset_ms in spans
    ]
    return make(path, fps=fps, segments=segments)


def _clips(text: str, adapter: str, **options: Any) -> list[Any]:
    return list(otio.adapters.read_from_string(text, adapter, **options).find_clips())


def _seconds(time: Any) -> float:
    return float(time.value) / float(time.rate)


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("suffix", [".otio", ".fcpxml"])
def test_timelines_hold_every_marker(make_report: Make, fps: float, suffix: str) -> None:
    judgement = _judgement(make_report, fps)
    rate, wanted = exact_rate(fps), markers(judgement)
    assert len(wanted) == 2
    adapter = {".otio": "otio_json", ".fcpxml": "fcpx_xml"}[suffix]
    (clip,) = _clips(marker_file(judgement, suffix), adapter)
    assert "holiday & \\u202e<b>" in clip.name
    # The reader of FCPXML takes 29.97 frames a second for 29, and rounds all times to these.
    exact_s = 1.1 / 23.0 if suffix == ".fcpxml" and rate.denominator != 1 else 1e-6
    assert _seconds(clip.duration()) == pytest.approx(round(250.0 * rate) / rate, abs=exact_s)
    assert clip.media_reference.target_url.startswith("file:///")
    assert [m.name for m in clip.markers] == [m.name for m in wanted]
    for found, marker in zip(clip.markers, wanted, strict=True):
        start, length = found.marked_range.start_time, found.marked_range.duration
        assert _seconds(start) == pytest.approx(marker.first / rate, abs=exact_s)
        assert _seconds(length) == pytest.approx((marker.end - marker.first) / rate, abs=exact_s)


@pytest.mark.parametrize("fps", RATES)
def test_times_for_final_cut_are_whole_frames(make_report: Make, fps: float) -> None:
    judgement = _judgement(make_report, fps)
    rate, wanted = exact_rate(fps), markers(judgement)
    root = ElementTree.fromstring(marker_file(judgement, ".fcpxml"))
    times = [
        [Fraction(m.get(key, "").removesuffix("s")) * rate for key in ("start", "duration")]
        for m in root.iter("marker")
    ]
    assert times == [[marker.first, marker.end - marker.first] for marker in wanted]
    assert [m.get("note") for m in root.iter("marker")] == [marker.note for marker in wanted]
    (form,) = root.iter("format")
    assert 1 / Fraction(form.get("frameDuration", "").removesuffix("s")) == rate
    (sequence,) = root.iter("sequence")
    assert sequence.get("tcFormat") == ("DF" if is_drop_frame(rate) else "NDF")


@pytest.mark.parametrize("fps", RATES)
def test_the_edl_is_one_that_cmx_3600_readers_read(make_report: Make, fps: float) -> None:
    judgement = _judgement(make_report, fps)
    rate, wanted = exact_rate(fps), markers(judgement)
    clips = _clips(marker_file(judgement, ".edl"), "cmx_3600", rate=float(rate))
    zero = frame_of("01:00:00:00", rate)
    assert [clip.source_range.start_time.value - zero for clip in clips] == [
        marker.first for marker in wanted
    ]
    for clip, marker in zip(clips, wanted, strict=True):
        (comment,) = clip.metadata["cmx_3600"]["comments"]
        assert f"|M:{marker.name} |D:{marker.end - marker.first}" in comment


def test_a_film_in_sync_has_a_timeline_without_markers(make_report: Make) -> None:
    judgement = make_report(status="in_sync", offset_ms=0.0)
    for suffix, adapter in ((".otio", "otio_json"), (".fcpxml", "fcpx_xml")):
        (clip,) = _clips(marker_file(judgement, suffix), adapter)
        assert not clip.markers


def test_without_the_package_it_is_said_before_any_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(editor_markers, "find_spec", lambda _: None)
    assert main(["score", "--markers", "m.otio", "a.mp4"]) == 2
    err = capsys.readouterr().err
    assert ".otio needs opentimelineio, which is not installed" in err
    assert "'.[editors]'" in err
