"""Changes to a finished file's bytes that no muxer would make: time stamps, headers, edits."""

from __future__ import annotations

from collections.abc import Callable

TICKS = 90_000
WRAP = 1 << 33


def _read_stamp(five: bytes) -> int:
    return (
        (five[0] >> 1 & 7) << 30
        | five[1] << 22
        | (five[2] >> 1) << 15
        | five[3] << 7
        | five[4] >> 1
    )


def _write_stamp(five: bytes, stamp: int) -> bytes:
    return bytes(
        (
            five[0] & 0xF0 | (stamp >> 30 & 7) << 1 | 1,
            stamp >> 22 & 255,
            (stamp >> 15 & 127) << 1 | 1,
            stamp >> 7 & 255,
            (stamp & 127) << 1 | 1,
        )
    )


def restamp(data: bytes, change: Callable[[int, int], int]) -> bytes:
    """A transport stream with other time stamps.

    Args:
        data: packets of 188 bytes.
        change: called with (number of the packet among its stream's, stamp in 1/90000 s).
    """
    out = bytearray(data)
    numbers: dict[int, int] = {}
    for at in range(0, len(data) - 187, 188):
        packet = data[at : at + 188]
        if packet[0] != 0x47 or not packet[1] & 0x40:
            continue
        body = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
        if packet[body : body + 3] != b"\0\0\1" or packet[body + 3] & 0xC0 != 0xC0:
            continue  # tables, not picture or sound
        pid = int.from_bytes(packet[1:3], "big") & 0x1FFF
        number = numbers[pid] = numbers.get(pid, -1) + 1
        for n in range((packet[body + 7] >> 6).bit_count()):
            where = at + body + 9 + 5 * n
            five = data[where : where + 5]
            stamp = change(number, _read_stamp(five)) % WRAP
            out[where : where + 5] = _write_stamp(five, stamp)
    return bytes(out)


def _first_stamp(data: bytes) -> int:
    seen: list[int] = []
    restamp(data, lambda _, stamp: seen.append(stamp) or stamp)
    return min(seen)


def jump_stamps(data: bytes, after_s: float, by_s: float) -> bytes:
    """Time stamps later than `after_s` from the first are moved by `by_s`."""
    border = _first_stamp(data) + round(after_s * TICKS)
    by = round(by_s * TICKS)
    return restamp(data, lambda _, stamp: stamp + by if stamp >= border else stamp)


def shuffle_stamps(data: bytes) -> bytes:
    """Every sixth packet's stamp lies 60 ms too early, that is, before its forerunner's."""
    return restamp(data, lambda n, stamp: stamp - 5400 if n % 6 == 5 else stamp)


def change_atom(data: bytes, path: tuple[bytes, ...], change: Callable[[bytes], bytes]) -> bytes:
    """An mp4 or mov whose atoms at `path` have another body; all sizes around them follow.

    The index must lie behind the data, where ffmpeg puts it, or places in it would be wrong.
    """
    out = bytearray()
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + size]
        if kind == path[0]:
            body = change(body) if len(path) == 1 else change_atom(body, path[1:], change)
        out += (len(body) + 8).to_bytes(4, "big") + kind + body
        at += size
    return bytes(out)


def turn_quarter(data: bytes) -> bytes:
    """An mp4 that a player turns clockwise, as phones write it."""
    quarter = "00000000" + "00010000" + "00000000" + "ffff0000" + "0" * 32 + "40000000"
    path = (b"moov", b"trak", b"tkhd")
    return change_atom(data, path, lambda body: body[:40] + bytes.fromhex(quarter) + body[76:])


def cut_by_edit_list(data: bytes, from_s: float, to_s: float, scale: int) -> bytes:
    """A mov that leaves out a stretch: two edits in every track.

    Args:
        data: the file; its tracks' time scale is `scale`.
        from_s, to_s: the stretch, in media time.
        scale: ticks a second.
    """

    at = data.index(b"mvhd") + 16
    own = int.from_bytes(data[at : at + 4], "big")

    def two_edits(body: bytes) -> bytes:
        lasts = int.from_bytes(body[8:12], "big")
        first, second = round(from_s * own), lasts - round(to_s * own)
        edits = ((first, 0), (second, round(to_s * scale)))
        rows = b"".join(
            length.to_bytes(4, "big") + media.to_bytes(4, "big") + b"\0\1\0\0"
            for length, media in edits
        )
        return body[:4] + (2).to_bytes(4, "big") + rows

    return change_atom(data, (b"moov", b"trak", b"edts", b"elst"), two_edits)


def thin_stamps(data: bytes, keep: Callable[[int, bool], bool]) -> bytes:
    """A transport stream of which only some pictures have time stamps.

    Args:
        data: packets of 188 bytes.
        keep: called with (number of the picture, whether decoding can begin with it).
    """
    out = bytearray(data)
    number = 0
    for at in range(0, len(data) - 187, 188):
        flags = data[at + 5] if data[at + 3] & 0x20 and data[at + 4] else 0
        body = at + 4 + (1 + data[at + 4] if data[at + 3] & 0x20 else 0)
        begins = data[at + 1] & 0x40 and data[body : body + 3] == b"\0\0\1"
        if not begins or data[body + 3] & 0xF0 != 0xE0:
            continue
        if not keep(number, bool(flags & 0x40)):
            size = data[body + 8]
            out[body + 7] &= 0x3F
            out[body + 9 : body + 9 + size] = b"\xff" * size
        number += 1
    return bytes(out)


def drop_index(data: bytes) -> bytes:
    """An MXF file whose index segments no reader knows any more."""
    key = bytes.fromhex("060e2b34025301010d01020101100100")
    return data.replace(key, key[:4] + b"\x02" + key[5:12] + b"\x7f" + key[13:])


def telecine(stream: bytes) -> bytes:
    """MPEG-2 pictures of film, 23.976 a second, to be shown for three fields of 59.94 a second and
    two in turn: flags alone, as on a DVD; `stream` is the track by itself."""
    out, at, group = bytearray(stream), 0, 0
    pictures: list[int] = []  # places in the order of showing
    while (at := out.find(b"\0\0\1", at)) >= 0 and at + 9 < len(out):
        code, kind = out[at + 3], out[at + 4] >> 4
        if code == 0xB3:
            out[at + 7] = out[at + 7] & 0xF0 | 4  # 30000/1001 frames a second
        elif code == 0xB5 and kind == 1:
            out[at + 5] &= ~0x08  # not progressive as a whole
        elif code == 0xB8:
            group = len(pictures)
        elif code == 0x00:
            pictures.append(group + (out[at + 4] << 2 | out[at + 5] >> 6))
        elif code == 0xB5 and kind == 8:
            top_first, repeats = ((1, 1), (0, 0), (0, 1), (1, 0))[pictures[-1] % 4]
            out[at + 7] = out[at + 7] & 0x7D | top_first << 7 | repeats << 1 | 1
            out[at + 8] |= 0x80  # each picture by itself is
        at += 3
    return bytes(out)
