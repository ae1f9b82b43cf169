from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avatarkit_rtc.errors import ConfigurationError
from renderers.flame import FlameModel, read_flame
from renderers.flame.sparse import SparseMatrix
from tests.support.flame import Fields, make_fields, write_npz, write_pickle


@pytest.fixture(scope="module")
def fields() -> Fields:
    return make_fields(vertices=60) | {"f": np.arange(60, dtype=np.uint32).reshape(20, 3)}


def assert_same(model: FlameModel, fields: Fields) -> None:
    assert np.array_equal(model.template, fields["v_template"])
    assert np.array_equal(model.faces, fields["f"])
    assert np.array_equal(model.expressions, fields["shapedirs"][:, :, 300:])
    assert np.array_equal(model.pose_corrections, fields["posedirs"])
    assert model.joint_regressor == pytest.approx(fields["J_regressor"])
    assert np.array_equal(model.weights, fields["weights"])
    assert model.parents == (-1, 0, 1, 1, 1)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_pickle_with_arrays_of_chumpy_and_scipy_is_read_without_either(
    tmp_path: Path, fields: Fields, protocol: int
) -> None:
    model = read_flame(write_pickle(tmp_path / "generic_model.pkl", fields, protocol=protocol))
    assert_same(model, fields)
    assert "chumpy" not in sys.modules


def test_a_pickle_of_plain_arrays_is_read(tmp_path: Path, fields: Fields) -> None:
    path = tmp_path / "flame.pkl"
    path.write_bytes(pickle.dumps(fields))
    assert_same(read_flame(path), fields)


def test_an_npz_is_read(tmp_path: Path, fields: Fields) -> None:
    assert_same(read_flame(write_npz(tmp_path / "flame.npz", fields)), fields)


class Evil:
    """Runs a command when it is unpickled in the plain way."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call[0], self.call[1:]


@pytest.mark.parametrize("where", ["v_template", "extra", None])
def test_a_pickle_with_a_foreign_class_is_refused_and_not_run(
    tmp_path: Path, fields: Fields, where: str | None
) -> None:
    import os

    proof = tmp_path / "proof"
    evil = Evil(os.mkdir, str(proof))
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps(evil if where is None else {**fields, where: evil}))
    with pytest.raises(ConfigurationError, match=r"refused.*mkdir"):
        read_flame(path)
    assert not proof.exists()
    pickle.loads(path.read_bytes())
    assert proof.exists()  # it would have


@pytest.mark.parametrize(
    "call",
    [
        (eval, "1"),
        (getattr, "x", "upper"),
        (__import__, "os"),
        (np.load, "x"),
        (np.array, [1]),
        (bytearray, 10),
        (open, "x"),
    ],
)
def test_what_is_harmless_elsewhere_is_refused_as_well(tmp_path: Path, call: Any) -> None:
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps({"v_template": Evil(*call)}))
    with pytest.raises(ConfigurationError, match="refused"):
        read_flame(path)


@pytest.mark.parametrize(
    "script",
    [
        b"cscipy.sparse\nsave_npz\n(tR.",
        b"c_codecs\nencode\n(Vx\nVzip\ntR.",
        b"ccopy_reg\n_reconstructor\n(c__builtin__\nset\nc__builtin__\nobject\nNtR.",
    ],
)
def test_the_stand_ins_do_no_more_than_they_must(tmp_path: Path, script: bytes) -> None:
    path = tmp_path / "evil.pkl"
    path.write_bytes(script)
    with pytest.raises(ConfigurationError, match="refused"):
        read_flame(path)


def broken(fields: Fields, **changes: Any) -> Fields:
    return {name: value for name, value in {**fields, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": None, "f": None}, "f, weights missing"),
        ({"v_template": np.zeros((60, 2))}, r"v_template has shape \(60, 2\)"),
        ({"v_template": np.full((60, 3), np.nan)}, "not finite"),
        ({"shapedirs": np.zeros((60, 3, 100))}, "100 columns"),
        ({"posedirs": np.zeros((60, 3, 18))}, "posedirs"),
        ({"weights": np.zeros((61, 5))}, "weights"),
        ({"f": np.full((2, 3), 60)}, "do not exist"),
        ({"kintree_table": np.array([[0, 3, 1, 1, 1], [0, 1, 2, 3, 4]])}, "kintree_table"),
        ({"f": np.array([["a", "b", "c"]])}, "f is no array"),
    ],
)
def test_what_is_no_flame_model_is_refused_by_name(
    tmp_path: Path, fields: Fields, changes: dict[str, Any], message: str
) -> None:
    path = write_npz(tmp_path / "flame.npz", broken(fields, **changes))
    with pytest.raises(ConfigurationError, match=message) as raised:
        read_flame(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x03\x04 no archive", b"\x80\x04]."])
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "flame.pkl"
    path.write_bytes(data)
    with pytest.raises(ConfigurationError, match=r"FLAME|npz"):
        read_flame(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read the FLAME model"):
        read_flame(tmp_path / "none.pkl")


@pytest.mark.parametrize("at", [0.2, 0.5, 0.9, 0.99])
def test_a_cut_file_is_refused(tmp_path: Path, fields: Fields, at: float) -> None:
    path = write_pickle(tmp_path / "flame.pkl", fields)
    path.write_bytes(path.read_bytes()[: int(at * path.stat().st_size)])
    with pytest.raises(ConfigurationError):
        read_flame(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"indices": np.array([0, 1])},
        {"indices": np.array([0, 1, 9])},
        {"indptr": np.array([0, 3])},
        {"indptr": np.array([0, 2, 1, 3])},
        {"_shape": (0, 3)},
        {"_shape": (10**6, 10**6)},
        {"_shape": None},
        {"data": None},
    ],
)
def test_a_sparse_matrix_whose_parts_do_not_fit_is_refused(changes: dict[str, Any]) -> None:
    matrix = SparseMatrix.stand_in("csc_matrix")()
    parts = {
        "data": np.ones(3),
        "indices": np.array([0, 1, 1]),
        "indptr": np.array([0, 1, 3, 3]),
        "_shape": (2, 3),
    }
    matrix.__setstate__((None, parts))
    assert matrix.to_dense().tolist() == [[1, 0, 0], [0, 2, 0]]
    matrix.__setstate__(parts | changes)
    with pytest.raises((ValueError, TypeError)):
        matrix.to_dense()


def test_a_matrix_by_rows_is_read_as_well() -> None:
    matrix = SparseMatrix.stand_in("csr_array")()
    matrix.__setstate__(
        {"data": np.ones(2), "indices": np.array([2, 0]), "indptr": np.array([0, 1, 2]), "_shape": (2, 3)}
    )
    assert matrix.to_dense().tolist() == [[0, 0, 1], [1, 0, 0]]
