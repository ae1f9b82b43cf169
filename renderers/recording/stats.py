"""A recorder's figures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RecorderStats:
    """A snapshot of a recorder."""

    file: Path
    """The file that is being written, or was last."""
    files: int
    """Files begun."""
    duration_s: float
    """End of the newest pose or sound, from the beginning of the first file on."""
    pictures: int
    """Pictures written."""
    thinned: int
    """Poses that were no new picture: faster than the picture rate, or the same moment again."""
    dropped_poses: int
    """Poses left out because the encoder could not keep up, or had failed."""
    dropped_blocks: int
    """Blocks of sound left out for the same reasons, or because they waited for the first picture in vain."""
    inserted_silence_s: float
    """Seconds of silence in the avatar's track where no sound had come."""
    face_errors: int
    """Poses that the face failed to draw."""
    behind_s: float
    """How long the newest pose that was written had waited for its turn."""
    level: int
    """How little the encoder works: 0 is its best."""
    picture_rate: float
    """Pictures a second that are written now."""
    draw_s: float
    """Processor time of drawing, in seconds."""
    encode_s: float
    """Processor time of encoding pictures, on the recorder's own thread."""
    sound_s: float
    """Processor time of encoding sound."""
    sidecar_s: float
    """Processor time of the sidecar."""
