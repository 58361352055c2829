"""Checkpoints come back bit for bit, and whatever goes wrong is a CheckpointError that says what to do."""

import contextlib
import errno
import json
import os
import pickle
import struct
import subprocess
import sys
import textwrap
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import gradengine as ge
from gradengine.core.tensor_class import Tensor
from gradengine.errors import CheckpointError
from gradengine.io import (
    atomic_writer,
    flatten_state,
    load,
    load_checkpoint,
    save,
    save_checkpoint,
    unflatten_state,
)
from gradengine.io.state import STORABLE

safetensors = pytest.importorskip("safetensors")


def same(a, b):
    """Equal in type, structure and every bit; NaN equals itself."""
    if type(a) is not type(b):
        return False
    if isinstance(a, Tensor):
        return a.requires_grad == b.requires_grad and same(np.asarray(a), np.asarray(b))
    if isinstance(a, (np.ndarray, np.generic)):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, float):
        return struct.pack("d", a) == struct.pack("d", b)
    if isinstance(a, dict):
        # The order of the keys is state too: optimizers go through their parameters in it.
        return len(a) == len(b) and all(same(k, other) and same(a[k], b[other]) for k, other in zip(a, b, strict=True))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


ARRAYS = hnp.arrays(
    dtype=st.sampled_from(sorted(STORABLE - {"bfloat16"})).map(np.dtype),
    shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(2**200), max_value=2**200),
    st.floats(),
    st.text(),
    ARRAYS,
    ARRAYS.map(lambda array: array.ravel()[0] if array.size else np.float32(1)),
    ARRAYS.map(Tensor),
)
KEYS = st.one_of(st.text(max_size=4), st.sampled_from(["$tensor", "a.b", "a", "b", "__metadata__"]), st.integers())
STATES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(KEYS, inner, max_size=4),
    ),
    max_leaves=8,
)


@given(STATES)
def test_any_state_survives_flattening_and_json(state):
    arrays, tree = flatten_state(state)
    tree = json.loads(json.dumps(tree, allow_nan=False))
    assert same(unflatten_state(arrays, tree), state)


@given(state=STATES)
def test_any_state_survives_the_file(tmp_path_factory, state):
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    save(state, path)
    assert same(load(path), state)


def test_the_comparison_of_these_tests_can_fail():
    assert not same({"a": 0.0}, {"a": -0.0})
    assert not same([1], [1.0])
    assert not same((1,), [1])
    assert not same({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert not same(np.zeros(2), np.zeros(2, np.float32))
    assert not same(Tensor([1.0]), Tensor([2.0]))


def test_numbers_keep_every_bit(tmp_path):
    payload = struct.unpack(">d", bytes.fromhex("7ff8000000abcdef"))[0]
    state = [0.1, -0.0, 5e-324, float("inf"), float("-inf"), payload, 2**63, -(2**63), 10**5000, True, None]
    save(state, tmp_path / "n.safetensors")
    assert same(load(tmp_path / "n.safetensors"), state)


def test_names_in_the_file_are_those_of_the_state_dict(tmp_path):
    from safetensors.numpy import load_file

    path = tmp_path / "m.safetensors"
    save({"fc.weight": Tensor([[1.0]]), "slots": {0: {"m": np.ones(2)}}, "lr": 0.1}, path)
    assert sorted(load_file(path)) == ["fc.weight", "slots.0.m"]
    save_checkpoint(path, {"fc.weight": Tensor([[1.0]])}, {"optimizer": {"m": np.ones(2)}})
    assert sorted(load_file(path)) == ["fc.weight", "optimizer.m"]


def test_names_that_clash_are_kept_apart(tmp_path):
    state = {
        "a": {"b": np.array(1)},
        "a.b": np.array(2),
        "": np.array(3),
        "__metadata__": np.array(4),
        "\ud800": np.array(5),
    }
    save(state, tmp_path / "c.safetensors")
    assert same(load(tmp_path / "c.safetensors"), state)
    save_checkpoint(tmp_path / "d.safetensors", {"x": np.array(1)}, {"x": np.array(2)})
    assert load_checkpoint(tmp_path / "d.safetensors") == ({"x": np.array(1)}, {"x": np.array(2)})


def test_checkpoint_round_trip(tmp_path):
    tensors = {"w": Tensor([[1.0, 2.0]], requires_grad=True), "raw": np.arange(6, dtype=np.int16).reshape(2, 3).T}
    metadata = {"epoch": 3, "betas": (0.9, 0.999), "slots": {0: {"m": np.float32(0.5)}}, "big": 2**130}
    save_checkpoint(tmp_path / "run.safetensors", tensors, metadata)
    loaded, extra = load_checkpoint(tmp_path / "run.safetensors")
    assert same(loaded["w"], tensors["w"].detach())
    assert same(loaded["raw"], tensors["raw"])
    assert same(extra, metadata)
    assert same(load(tmp_path / "run.safetensors")["metadata"], metadata)


def test_loaded_arrays_are_writable_and_alone(tmp_path):
    save({"x": np.zeros(3)}, tmp_path / "x.safetensors")
    first, second = (load(tmp_path / "x.safetensors")["x"] for _ in range(2))
    first += 1
    assert second.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24.0).reshape(4, 6)[::2, ::-3],
        np.arange(6.0).reshape(2, 3).T,
        np.arange(3, dtype=">f4"),
        np.zeros((0, 3)),
    ],
    ids=["strided", "transposed", "big-endian", "empty"],
)
def test_any_memory_layout_is_stored_by_value(tmp_path, array):
    save(array, tmp_path / "a.safetensors")
    loaded = load(tmp_path / "a.safetensors")
    assert loaded.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(loaded, array)


def test_equal_states_give_equal_files(tmp_path):
    state = {name: np.full(3, i) for i, name in enumerate("hgfedcba")} | {"lr": 0.1}
    save(state, tmp_path / "1")
    save(state, tmp_path / "2")
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_dict_likes_become_dicts(tmp_path):
    save(OrderedDict(a=1), tmp_path / "o")
    assert same(load(tmp_path / "o"), {"a": 1})


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"model": {"hook": print}}, r"model\.hook is a builtin_function_or_method"),
        ({"a": [1, {2}]}, r"a\.1 is a set"),
        ({"a": np.array([None])}, "a has dtype object"),
        ({"a": np.zeros(2, np.complex128)}, "a has dtype complex128.*float64"),
        ({np.int64(1): 2}, "keys may be"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_name(tmp_path, state, message):
    with pytest.raises(CheckpointError, match=message):
        save(state, tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_a_state_within_itself_is_refused(tmp_path):
    state = {}
    state["self"] = state
    with pytest.raises(CheckpointError, match="contains itself"):
        save(state, tmp_path / "x")


@pytest.mark.parametrize(
    "tree",
    [
        {"$array": "x"},
        {"$nonsense": 1},
        {"$tuple": 3},
        {"$int": "zz"},
        {"$float": "00"},
        {"$dict": [[1]]},
        {"$tensor": []},
    ],
)
def test_a_tree_that_is_none_is_refused(tree):
    with pytest.raises(CheckpointError, match="cannot be put together"):
        unflatten_state({}, tree)


# -- wrong arguments ------------------------------------------------------------------------------------------------


def test_arguments_in_the_wrong_order(tmp_path):
    with pytest.raises(CheckpointError, match=r"path must be .* got a dict; save takes \(state, path\)"):
        save(str(tmp_path / "x"), {"w": np.ones(1)})
    with pytest.raises(CheckpointError, match="tensors must be a dict, got a str"):
        save_checkpoint({"w": np.ones(1)}, str(tmp_path / "x"))
    with pytest.raises(CheckpointError, match="metadata must be a dict, got a list"):
        save_checkpoint(tmp_path / "x", {}, [1])
    with pytest.raises(CheckpointError, match="'lr' is a float; put anything else into metadata"):
        save_checkpoint(tmp_path / "x", {"lr": 0.1})


def test_the_two_kinds_of_file_are_told_apart(tmp_path):
    save({"w": 1}, tmp_path / "state")
    with pytest.raises(CheckpointError, match=r"holds a state.*gradengine\.load"):
        load_checkpoint(tmp_path / "state")
    for state in ({"state": 1}, {"tensors": 1, "metadata": 2}, {}, None):
        save(state, tmp_path / "state")
        assert load(tmp_path / "state") == state


# -- damaged and foreign files --------------------------------------------------------------------------------------


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "run.safetensors"
    save_checkpoint(path, {"w": np.arange(5, dtype=np.float32), "b": Tensor([1.0])}, {"epoch": 2, "lr": 0.1})
    return path


def test_every_truncation_is_found(checkpoint):
    data = checkpoint.read_bytes()
    for size in range(len(data)):
        checkpoint.write_bytes(data[:size])
        with pytest.raises(
            CheckpointError, match=r"run\.safetensors: it is (truncated|empty).* Restore it from a copy"
        ):
            load_checkpoint(checkpoint)


def test_every_flipped_bit_is_found(checkpoint):
    data = checkpoint.read_bytes()
    before = load_checkpoint(checkpoint)
    messages, harmless = set(), 0
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        checkpoint.write_bytes(damaged)
        try:
            after = load_checkpoint(checkpoint)
        except CheckpointError as error:
            messages.add(str(error))
        else:
            harmless += 1
            assert same(after, before)
    assert all("run.safetensors" in message for message in messages)
    assert harmless < 10, "the checksum does not cover the file"


@pytest.mark.parametrize(
    ("old", "new"), [(b"[2,3]", b"[3,2]"), (b"F32", b"I32"), (b'"x":{', b'"y":{')], ids=["shape", "dtype", "name"]
)
def test_arrays_that_are_relabelled_are_found(tmp_path, old, new):
    path = tmp_path / "run.safetensors"
    save({"x": np.zeros((2, 3), np.float32)}, path)
    data = path.read_bytes()
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, new))
    with pytest.raises(CheckpointError, match=r"run\.safetensors is damaged: its content does not match its checksum"):
        load(path)


def test_extra_bytes_are_found(checkpoint):
    checkpoint.write_bytes(checkpoint.read_bytes() + b"x")
    with pytest.raises(CheckpointError, match=r"run\.safetensors: it is no safetensors file, or its header is damaged"):
        load(checkpoint)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80\x02}q\x00.", r"pickle is never read\. .*save_file\(state_dict, 'name\.safetensors'\)$"),
        (b"PK\x03\x04" + bytes(100), "pickle is never read"),
        (b"epoch,loss\n1,0.5\n" * 9, "no safetensors file"),
        (b"\x00" * 64, "no safetensors file"),
        (b"\xff" * 64, "no safetensors file"),
        (struct.pack("<Q", 2) + b"[]", "no safetensors file"),
        (struct.pack("<Q", 4) + b"{}  ", "of another program"),
    ],
)
def test_a_foreign_file(tmp_path, content, message):
    path = tmp_path / "foreign.bin"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"foreign\.bin.*{message}"):
        load_checkpoint(path)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.safetensors: there is no such file"):
        load(tmp_path / "none.safetensors")
    with pytest.raises(FileNotFoundError) as caught:  # as PyTorch's
        load_checkpoint(tmp_path / "none.safetensors")
    assert caught.value.filename == str(tmp_path / "none.safetensors")
    assert caught.value.errno == errno.ENOENT
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), ge.MissingCheckpointError)
    with pytest.raises(CheckpointError, match="it is a folder"):
        load(tmp_path)


def test_a_file_of_another_program(tmp_path):
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    path = tmp_path / "theirs.safetensors"
    save_file({"w": np.ones(2, np.float32)}, path, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"theirs\.safetensors is a safetensors file of another program"):
        load_checkpoint(path)
    assert same(load(path), {"w": Tensor(np.ones(2, np.float32))})
    with contextlib.suppress(SafetensorError):  # from releases that store no complex numbers
        save_file({"w": np.ones(2, np.complex64)}, path)
        with pytest.raises(CheckpointError, match=r"theirs\.safetensors.*complex64"):
            load(path)


def test_a_dtype_that_numpy_has_not(tmp_path):
    header = json.dumps({"w": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}).encode()
    path = tmp_path / "f8.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0")
    with pytest.raises(CheckpointError, match=r"f8\.safetensors.*(save it as float32 first|float8)"):
        load(path)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("[1", "its header cannot be read"),
        ("3", "its header cannot be read"),
        ('{"version": 1, "sha256": "", "content": 3}', "its header cannot be read"),
        ('{"version": 1, "sha256": "", "content": {"state": 3}}', "does not match its checksum"),
        ('{"version": 99, "sha256": "", "content": {}}', "has format version 99.*update gradengine"),
    ],
)
def test_a_header_entry_that_is_none_of_ours(tmp_path, entry, message):
    from safetensors.numpy import save_file

    path = tmp_path / "odd.safetensors"
    save_file({"w": np.ones(2)}, path, metadata={"gradengine": entry})
    with pytest.raises(CheckpointError, match=rf"odd\.safetensors.*{message}"):
        load(path)


def test_without_safetensors(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    for call in (lambda: save({}, tmp_path / "x"), lambda: load(tmp_path / "x")):
        with pytest.raises(CheckpointError, match=r"-m pip install '\.\[io\]' in gradengine's folder"):
            call()


# -- disks that are full or closed ----------------------------------------------------------------------------------


def assert_untouched(checkpoint, before):
    assert checkpoint.read_bytes() == before
    assert [entry.name for entry in checkpoint.parent.iterdir()] == [checkpoint.name]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_the_old_checkpoint_survives_a_full_disk(checkpoint, monkeypatch, call):
    before = checkpoint.read_bytes()

    def fail(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(CheckpointError, match=r"run\.safetensors: No space left on device.*untouched.*free some space"):
        save_checkpoint(checkpoint, {"w": np.zeros(5)})
    assert_untouched(checkpoint, before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a POSIX file size limit")
def test_the_old_checkpoint_survives_a_write_that_the_system_refuses(checkpoint):
    before = checkpoint.read_bytes()
    code = """
        import resource, sys
        import numpy as np
        from gradengine.errors import CheckpointError
        from gradengine.io import save_checkpoint

        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            save_checkpoint(sys.argv[1], {"w": np.zeros(1_000_000)})
        except CheckpointError as error:
            print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(checkpoint)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert "File too large" in done.stdout, done.stderr
    assert_untouched(checkpoint, before)


def test_an_interrupted_write_leaves_nothing(checkpoint):
    before = checkpoint.read_bytes()
    with pytest.raises(KeyboardInterrupt), atomic_writer(checkpoint) as file:  # noqa: PT012 - the block is the point
        file.write(b"half")
        raise KeyboardInterrupt
    assert_untouched(checkpoint, before)


def test_content_is_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        original = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, n=name, f=original: (calls.append(n), f(*args))[1])
    save({}, tmp_path / "x")
    assert calls == ["fsync", "replace", "fsync"]  # file, name, folder


def test_no_such_folder(tmp_path):
    with pytest.raises(CheckpointError, match=r"No such file or directory.*choose a folder that exists"):
        save({}, tmp_path / "none" / "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(CheckpointError, match="Is a directory"):
        save({}, tmp_path / "folder")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(checkpoint):
    before = checkpoint.read_bytes()
    checkpoint.parent.chmod(0o500)
    try:
        with pytest.raises(CheckpointError, match="Permission denied"):
            save({}, checkpoint)
    finally:
        checkpoint.parent.chmod(0o700)
    assert_untouched(checkpoint, before)


@pytest.mark.skipif(os.name == "nt", reason="links and modes as POSIX has them")
def test_links_are_followed_and_files_are_readable_by_others(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(b"")
    link.symlink_to(real)
    umask = os.umask(0o022)
    try:
        save([1], link)
    finally:
        os.umask(umask)
    assert link.is_symlink()
    assert load(real) == [1]
    assert real.stat().st_mode & 0o777 == 0o644


def test_load_takes_pytorchs_words(tmp_path):
    path = tmp_path / "state.safetensors"
    ge.save({"w": ge.tensor([1.0, 2.0]), "none": None, "list": [1, "a"]}, path)
    for device in ("cpu", ge.device("cpu")):
        found = ge.load(path, map_location=device, weights_only=True)
        assert (found["w"].tolist(), found["none"], found["list"]) == ([1.0, 2.0], None, [1, "a"])
    with pytest.raises(ge.DeviceError):
        ge.load(path, map_location="nowhere")
    with pytest.raises(ge.GradengineError, match="pickle"):
        ge.load(path, pickle_module=None)
