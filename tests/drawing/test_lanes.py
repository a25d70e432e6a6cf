"""A film over time: bars stand where their time is, and on nothing of their own region."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avsync_cli.drawing.lanes import Bar, Extras, draw_lanes, lanes_height, stacked
from avsync_cli.drawing.people import LINE, lines, people
from avsync_cli.drawing.svg import SvgCanvas
from avsync_cli.inference.evidence import BlockResult, Region
from avsync_cli.verdict.answer import Judgement

Make = Callable[..., Judgement]

SVG = "{http://www.w3.org/2000/svg}"


def _blocks(first: int, frames: int, track: int, weight: float) -> list[BlockResult]:
    """Blocks of a region that is seen for so many frames of 40 ms: on whole seconds, and one
    more that ends with it."""
    starts = list(range(-(-first // 25) * 25, first + frames - 24, 25))
    if starts and starts[-1] + 25 < first + frames:
        starts.append(first + frames - 25)
    region = Region("face", track, (0.1, 0.1, 0.3, 0.5))
    return [
        BlockResult(
            start_s=start / 25,
            end_s=(start + 25) / 25,
            region=region,
            confidence=0.0,
            weight=weight,
            p_sync=0.5,
        )
        for start in starts
    ]


REGIONS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(25, 200), st.floats(0.01, 0.3)),
    min_size=1,
    max_size=4,
)


def _drawn(regions: list[tuple[int, int, float]]) -> list[Bar]:
    rows = enumerate(regions)
    return stacked([b for track, row in rows for b in _blocks(row[0], row[1], track, row[2])])


@settings(deadline=None)
@given(REGIONS)
def test_no_two_bars_cover_each_other(regions: list[tuple[int, int, float]]) -> None:
    for a, b in itertools.combinations(_drawn(regions), 2):
        together = min(a.end_s, b.end_s) - max(a.start_s, b.start_s) > 1e-6
        tops = a.below + a.block.weight, b.below + b.block.weight
        apart = a.below >= tops[1] - 1e-9 or b.below >= tops[0] - 1e-9
        assert not together or apart


@settings(deadline=None)
@given(REGIONS)
def test_a_region_by_itself_stands_on_the_ground(regions: list[tuple[int, int, float]]) -> None:
    for region in regions:
        bars = _drawn([region])
        assert all(bar.below == 0.0 for bar in bars)
        assert all(a.end_s <= b.start_s + 1e-9 for a, b in itertools.pairwise(bars))


def test_the_last_bar_has_only_the_time_that_is_new() -> None:
    bars = _drawn([(0, 60, 0.2)])
    assert [(bar.start_s, bar.end_s) for bar in bars] == [(0.0, 1.0), (1.0, 2.0), (2.0, 2.4)]


def test_two_faces_of_one_time_stand_on_each_other() -> None:
    bars = _drawn([(0, 50, 0.2), (0, 50, 0.1)])
    assert sorted((bar.start_s, bar.below) for bar in bars) == [
        (0.0, 0.0), (0.0, 0.2), (1.0, 0.0), (1.0, 0.2),
    ]  # fmt: skip


@pytest.mark.parametrize("frames", [100, 110, 124])
def test_the_highest_bar_fills_the_lane(make_report: Make, frames: int) -> None:
    """Whatever the clip's length, bars of one weight are of one height."""
    judgement = make_report(blocks=_blocks(0, frames, 0, 0.2))
    canvas = SvgCanvas(1080.0, lanes_height(judgement, Extras()))
    draw_lanes(canvas, judgement, Extras())
    root = ElementTree.fromstring(canvas.svg("a", "b", "c"))
    bars = [r.attrib for r in root.iter(f"{SVG}rect") if r.attrib.get("class") == "f-accent"]
    assert len(bars) == -(-frames // 25)
    assert {bar["height"] for bar in bars} == {"78"}


def test_a_line_is_taken_up_again_by_the_next_face_for_which_it_is_free() -> None:
    seen = [(0, 50, 0), (0, 100, 1), (50, 50, 2), (60, 40, 3)]
    blocks = [b for first, frames, track in seen for b in _blocks(first, frames, track, 0.1)]
    assert [(p.blocks[0].region.track, p.line) for p in people(blocks)] == [
        (0, 0), (1, 1), (2, 0), (3, 2),
    ]  # fmt: skip
    assert people(_blocks(0, 100, 0, 0.1)) == []


@settings(deadline=None)
@given(REGIONS)
def test_nobody_is_drawn_over_somebody_else(regions: list[tuple[int, int, float]]) -> None:
    rows = enumerate(regions)
    blocks = [b for track, row in rows for b in _blocks(row[0], row[1], track, row[2])]
    everybody = people(blocks)
    for a, b in itertools.combinations(everybody, 2):
        apart = a.end_s <= b.blocks[0].start_s + 1e-6 or b.end_s <= a.blocks[0].start_s + 1e-6
        assert a.line != b.line or apart
    assert lines(everybody) <= len(regions)


@pytest.mark.parametrize("width", [380.0, 1080.0])
def test_everybody_has_a_line_of_names_and_bars(make_report: Make, width: float) -> None:
    blocks = [*_blocks(0, 100, 0, 0.2), *_blocks(0, 100, 1, 0.05)]
    judgement = make_report(blocks=blocks, segments=[])
    alone = make_report(blocks=_blocks(0, 100, 0, 0.2), segments=[])
    height = lanes_height(judgement, Extras())
    assert height - lanes_height(alone, Extras()) == 2 * LINE + 30.0
    canvas = SvgCanvas(width, height)
    draw_lanes(canvas, judgement, Extras())
    root = ElementTree.fromstring(canvas.svg("a", "b", "c"))
    said = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    assert {"face 0", "face 1"} <= set(said)
    bars = [r.attrib for r in root.iter(f"{SVG}rect") if r.attrib.get("height") == "7"]
    strong = [float(r.get("fill-opacity", r.get("opacity", "1"))) for r in bars]
    assert sorted(set(strong)) == pytest.approx([0.15 + 0.85 / 4, 1.0], abs=0.01)
