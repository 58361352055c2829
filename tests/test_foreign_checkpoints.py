"""Files that nobody should write: a safetensors header may claim anything, and a training checkpoint may be forged.

Each is a CheckpointError, or it is read as what it says; never another error, a crash or a run that goes wrong.
"""

import contextlib
import copy
import io
import json
import math
import struct

import numpy as np
import pytest

import gradengine as ge
from gradengine import cli
from gradengine.errors import CheckpointError
from gradengine.io import load, load_checkpoint, save_checkpoint
from gradengine.training import loop

pytest.importorskip("safetensors")


def file(header, body=bytes(8), claimed=None):
    """A safetensors file with this header, as JSON or as it is."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if claimed is None else claimed) + text + body


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


SHAPES = [
    *[(0, 2**62), (2**62, 0), (2**63, 0), (2**64, 0), (0, 2**31, 2**31, 2**31), (2**32, 2**32), (2**63,), (2**64,)],
    *[(-1,), (-2, -1), (2.5,), ("2",), (None,), (True,), (math.inf,), (math.nan,), (0,) * 1000, (1,) * 100],
]
DTYPES = ["F4", "F6", "F8_E4M3", "F8_E5M2", "F8_E8M0", "C64", "F128", "U4", "", None, 3, "f32", "float32", "V8", "O"]
OFFSETS = [
    *[(0,), (), (8, 0), (-8, 0), (0, 2**63), (0, 2**64), (2**63, 2**63 + 8), (1, 9), (0.0, 8.0), ("0", "8"), None],
    *[(4, 12), (0, 7), (0, 9), (0, 8, 9)],
]
METADATA = [
    "text", [1], {"x": 1}, {"x": None}, {"gradengine": ""}, {"gradengine": "{}"}, {"gradengine": "NaN"},
    {"gradengine": '{"version":NaN,"sha256":NaN,"content":{"state":NaN}}'},
    {"gradengine": '{"version":1,"sha256":NaN,"content":{"state":NaN}}'},
    {"gradengine": '{"version":1,"sha256":[],"content":[]}'},
    {"gradengine": '{"version":1,"sha256":[],"content":[["a",1]]}'},
    {"gradengine": '{"version":1,"sha256":"","content":{"state":"\\ud800"}}'},
    {"gradengine": '{"version":1,"sha256":"","content":' + "9" * 5000 + "}"},
    {"gradengine": "[" * 100_000 + "]" * 100_000},
    {"gradengine": '{"version":1,"sha256":"x","content":{"state":' + "[" * 900 + "]" * 900 + "}}"},
]  # fmt: skip
TWO = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[%s]}}'
ONE = b'{"%s":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
DAMAGED = {
    **{f"shape {s} of 8 bytes"[:60]: file({"a": entry(shape=s)}) for s in SHAPES},
    **{f"shape {s} of nothing"[:60]: file({"a": entry(shape=s, offsets=(0, 0))}, b"") for s in SHAPES},
    **{f"dtype {d}": file({"a": entry(d, (8,))}) for d in DTYPES},
    **{f"no elements of dtype {d}": file({"a": entry(d, (0,), (0, 0))}, b"") for d in DTYPES},
    **{f"offsets {o}": file({"a": entry(offsets=o)}) for o in OFFSETS},
    **{f"metadata {str(m)[:60]}": file({"__metadata__": m, "a": entry()}) for m in METADATA},
    "overlap": file({"a": entry(), "b": entry(offsets=(4, 12))}, bytes(12)),
    "the same bytes": file({"a": entry(), "b": entry()}),
    "a hole": file({"a": entry(), "b": entry(offsets=(12, 20))}, bytes(20)),
    "a name twice": file(TWO % b"8, 16", bytes(16)),
    "a name twice, the same bytes": file(TWO % b"0, 8"),
    "a name that is no UTF-8": file(ONE % b"\xff\xfe"),
    "a name of half a character": file(ONE % b"\\ud800"),
    "a header of 2^63 bytes": file({"a": entry()}, claimed=2**63),
    "a header of 2^64 - 1 bytes": file({"a": entry()}, claimed=2**64 - 1),
    "a header that is too long": file({"a": entry()}, claimed=100_000_001),
    "a header of zeros": file(bytes(100)),
    "a list": file([1]),
    "null": file(b"null"),
    "an entry that is a list": file({"a": [1]}),
    "too deep": file(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
}
# A shape of 1 x 1 x ... x 2 is too long for the bytes that are there; with True and 1.0, JSON decides.


@pytest.mark.parametrize("name", DAMAGED)
def test_a_header_that_makes_no_sense(name, tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(DAMAGED[name])
    with pytest.raises(CheckpointError, match=r"x\.safetensors"):
        load(path)
    with pytest.raises(CheckpointError, match=r"x\.safetensors"):
        load_checkpoint(path)


def test_a_shape_that_no_array_can_have_is_named(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(file({"w": entry(shape=(0, 2**62), offsets=(0, 0))}, b""))
    with pytest.raises(CheckpointError, match=r"'w' has shape \(0, 4611686018427387904\), which no array can have"):
        load(path)
    path.write_bytes(DAMAGED["a name twice, the same bytes"])
    with pytest.raises(CheckpointError, match="the name 'a' twice"):
        load(path)


@pytest.mark.parametrize("name", ["", "\0", "../../x", "a" * 10_000, "é"])
def test_names_are_only_names(name, tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(file({name: entry()}))
    assert list(load(path)) == [name]


def test_bytes_of_bools_are_true_or_false(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(file({"a": entry("BOOL", (4,), (0, 4))}, b"\0\1\2\xff"))
    found = load(path)["a"]
    assert found.dtype == ge.bool
    assert (found.to(ge.uint8) * 3).tolist() == [0, 3, 3, 3]


def test_a_file_larger_than_the_memory(tmp_path, monkeypatch):
    from gradengine.io import checkpoint

    path = tmp_path / "x.safetensors"
    path.write_bytes(file({"a": entry()}))

    def fail(*args):
        raise MemoryError

    monkeypatch.setattr(checkpoint, "_readable", fail)
    with pytest.raises(CheckpointError, match="larger than the memory"):
        load(path)


@pytest.mark.parametrize("metadata", [np.zeros(3), [1], "text", 0, False])
def test_metadata_that_is_no_dict(metadata, tmp_path):
    with pytest.raises(CheckpointError, match="metadata must be a dict"):
        save_checkpoint(tmp_path / "x.safetensors", {}, metadata)


# -- forged training checkpoints ------------------------------------------------------------------------------------

GONE = object()
JUNK = [None, -1, 0, 2**70, math.nan, math.inf, "x", [], {}, True, 1.5, np.zeros(3), np.zeros((2, 2), np.int8)]
JUNK += [ge.zeros(2), (1, 2), {"a": 1}, GONE]


def run(*arguments):
    """The command's exit status and what it says."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        status = cli.main(["train", "--no-pictures", "--quiet", *map(str, arguments)])
    return status, said.getvalue()


def places(value, at=()):
    """Where something stands in nested dicts, lists and tuples."""
    if at:
        yield at
    for key, item in (
        value.items() if isinstance(value, dict) else enumerate(value if type(value) in (list, tuple) else ())
    ):
        yield from places(item, (*at, key))


def forge(value, at, junk):
    """The nested value with something else at a place."""
    made = list(value) if isinstance(value, tuple) else copy.copy(value)
    if len(at) > 1:
        made[at[0]] = forge(made[at[0]], at[1:], junk)
    elif junk is GONE:
        del made[at[0]]
    else:
        made[at[0]] = junk
    return tuple(made) if isinstance(value, tuple) else made


@pytest.fixture(scope="module")
def middle(tmp_path_factory):
    """The checkpoint of a run in the middle of its second epoch."""
    pytest.importorskip("sklearn")
    folder = tmp_path_factory.mktemp("middle")
    plain = loop.Trainer._train_step

    def stop(self, *batch):
        if self.step == 85:
            raise SystemExit
        return plain(self, *batch)

    line = ["--dataset", "digits", "--backend", "numpy", "--model", "16x16", "--epochs", 2, "--schedule", "step"]
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(SystemExit):
        patch.setattr(loop.Trainer, "_train_step", stop)
        run(*line, "--checkpoint-every", 10, "--out", folder)
    return load_checkpoint(folder / "checkpoint.safetensors")


@pytest.mark.parametrize("every", [37, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_forged_checkpoint_goes_on_or_is_refused(middle, every, tmp_path):
    tensors, rest = middle
    path = tmp_path / "checkpoint.safetensors"
    forged = [(at, junk) for at in places(rest) for junk in JUNK][::every]
    refused = 0
    for at, junk in forged:
        save_checkpoint(path, tensors, forge(rest, at, junk))
        status, said = run("--resume", path)
        # A number that could be right may let the loss grow (1); all that could not be is refused before (2).
        assert status in (0, 1, 2), (at, junk)
        assert said.count("\n") <= 1, (at, junk, said)
        refused += status == 2
    assert refused > 0.85 * len(forged)
