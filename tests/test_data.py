"""Datasets are what their names say or an error that names the file; batches come in the promised order."""

import gzip
import hashlib
import http.server
import struct
import sys
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import gradengine as ge
from gradengine import data
from gradengine.data import DataLoader, ImageData, TensorDataset, download, read_idx, sources
from gradengine.errors import ArgumentError, CheckpointError, DataError, DTypeError, MissingDataError, ShapeError

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array):
    """An array as an IDX file, by the format's description."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, CODES[array.dtype.str[1:]], array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


# -- IDX ------------------------------------------------------------------------------------------------------------

IDX_ARRAYS = st.sampled_from(sorted(CODES)).flatmap(
    lambda code: hnp.arrays(np.dtype(code), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
)


@given(array=IDX_ARRAYS, compress=st.booleans())
def test_any_idx_array_is_read_exactly(tmp_path_factory, array, compress):
    path = tmp_path_factory.getbasetemp() / "any.idx"
    path.write_bytes(gzip.compress(idx_bytes(array), mtime=0) if compress else idx_bytes(array))
    read = read_idx(path)
    assert read.dtype == array.dtype
    assert read.dtype.isnative
    assert read.shape == array.shape
    assert read.tobytes() == array.tobytes()


SMALL = idx_bytes(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))


@pytest.mark.parametrize("content", [SMALL, gzip.compress(SMALL, mtime=0)], ids=["plain", "gzip"])
def test_every_truncation_is_found(tmp_path, content):
    path = tmp_path / "cut.idx"
    for size in range(len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(DataError, match=r"cut\.idx is truncated|cut\.idx is no IDX file"):
            read_idx(path)


def test_flipped_bits_in_a_compressed_file_never_change_the_array(tmp_path):
    path, content = tmp_path / "flipped.gz", gzip.compress(SMALL, mtime=0)
    harmless = 0
    for bit in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            read = read_idx(path)
        except DataError:
            continue
        harmless += 1
        assert read.tobytes() == SMALL[16:]
    assert harmless < 80, "only gzip's own header and padding may change unseen"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>not found</html>", "is no IDX file: it begins with the bytes 3c 68 74 6d"),
        (b"\0\0\x07\x01\0\0\0\0", "is no IDX file"),
        (b"\0\x01" + SMALL[2:], "is no IDX file"),
        (b"\x1f\x8bnonsense" * 4, "is damaged"),
        (SMALL + b"\0", "is damaged: it goes on after the 24 bytes"),
        (gzip.compress(SMALL, mtime=0) + b"tail", "is damaged: Not a gzipped file"),
        (struct.pack(">BBBB4I", 0, 0, 8, 4, *[2**32 - 1] * 4) + b"abc", "is truncated: .* 3 are there"),
        (struct.pack(">BBBB5I", 0, 0, 8, 5, 0, *[2**32 - 1] * 4), "which NumPy cannot"),
        (struct.pack(">BBBB70I", 0, 0, 8, 70, *[1] * 70) + b"a", "which NumPy cannot"),
    ],
)
def test_foreign_and_damaged_files(tmp_path, content, message):
    path = tmp_path / "odd.idx"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"odd\.idx {message}|odd\.idx holds shape .*{message}"):
        read_idx(path)


def header(count):
    """The head of a file of so many labels."""
    return b"\0\0\x08\x01" + struct.pack(">I", count)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            header(2**30) + bytes(1000),
            r"truncated: shape \(1073741824,\) takes 1073741824 bytes, no more than 1000 are there",
        ),
        (gzip.compress(header(2**31) + bytes(1000), mtime=0), "truncated: shape"),
        (gzip.compress(header(100_000) + bytes(1000), mtime=0), "is truncated"),
        (header(10) + bytes(11), "goes on after the 10 bytes"),
        (gzip.compress(header(10) + bytes(11), mtime=0), "goes on after the 10 bytes"),
        (gzip.compress(header(10) + bytes(10), mtime=0) + b"junk", "damaged"),
        (
            gzip.compress(header(10) + bytes(10), mtime=0) + gzip.compress(b"more", mtime=0),
            "goes on after the 10 bytes",
        ),
        (b"\0\0\x08\xff" + b"\xff" * 1020, "truncated"),
    ],
)
def test_what_a_header_claims_is_not_believed(tmp_path, content, message):
    path = tmp_path / "labels"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=rf"labels.*{message}"):
            read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_memory_that_cannot_be_had(tmp_path, monkeypatch):
    path = tmp_path / "labels"
    path.write_bytes(header(3) + bytes(3))

    def fail(*args):
        raise MemoryError

    monkeypatch.setattr(np, "frombuffer", fail)
    with pytest.raises(DataError, match="labels is larger than the memory"):
        read_idx(path)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(DataError, match=r"none\.idx: there is no such file"):
        read_idx(tmp_path / "none.idx")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_idx(tmp_path)


# -- MNIST, in a small edition with its own digests -----------------------------------------------------------------


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """Files of a 5 + 3 picture MNIST, by name; no folder or mirror knows of them yet."""
    rng = np.random.default_rng(0)
    files, parts = {}, {}
    for key, part in sources.MNIST.items():
        shape = (5 if key.startswith("train") else 3, *part.shape[1:])
        content = idx_bytes(rng.integers(0, 256 if len(shape) == 3 else 10, shape).astype(np.uint8))
        files[part.file] = content
        parts[key] = part._replace(shape=shape, sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(sources, "MNIST", parts)
    monkeypatch.setattr(sources, "MIRRORS", ())
    monkeypatch.setenv("GRADENGINE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("GRADENGINE_DATA", raising=False)
    return files


def put(folder, files, compress=True):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / (f"{name}.gz" if compress else name)).write_bytes(
            gzip.compress(content, mtime=0) if compress else content
        )


def check_tiny(images, files):
    assert (images.name, images.fallback, images.classes, images.brightest) == ("mnist", "", 10, 255)
    assert images.train_images.tobytes() == files["train-images-idx3-ubyte"][16:]
    assert images.train_labels.tolist() == list(files["train-labels-idx1-ubyte"][8:])
    assert images.test_images.tobytes() == files["t10k-images-idx3-ubyte"][16:]
    assert images.test_labels.tolist() == list(files["t10k-labels-idx1-ubyte"][8:])
    assert images.train_labels.dtype == np.int64
    assert images.train_images.shape == (5, 28, 28)


@pytest.mark.parametrize("below", ["", "mnist"])
@pytest.mark.parametrize("compress", [True, False])
def test_files_are_found_in_the_named_folder(tiny, tmp_path, monkeypatch, below, compress):
    put(tmp_path / "given" / below, tiny, compress)
    monkeypatch.setenv("GRADENGINE_DATA", str(tmp_path / "given"))
    check_tiny(data.mnist(), tiny)


def test_an_argument_goes_before_the_variable(tiny, tmp_path, monkeypatch):
    put(tmp_path / "good", tiny)
    put(tmp_path / "bad", dict.fromkeys(tiny, b"junk"))
    monkeypatch.setenv("GRADENGINE_DATA", str(tmp_path / "bad"))
    check_tiny(data.mnist(tmp_path / "good"), tiny)


def test_files_are_found_in_the_cache_and_filled_up_from_there(tiny, tmp_path, monkeypatch):
    put(tmp_path / "cache" / "mnist", tiny)
    check_tiny(data.mnist(), tiny)
    put(tmp_path / "given", dict(list(tiny.items())[:2]))
    monkeypatch.setenv("GRADENGINE_DATA", str(tmp_path / "given"))
    check_tiny(data.mnist(), tiny)


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-1], "is truncated"),
        (lambda content: b"<html>" + content, "is no IDX file"),
        (lambda content: content[:-1] + bytes([content[-1] ^ 1]), "is damaged, or of another dataset: .* SHA-256"),
        (lambda content: idx_bytes(np.zeros((2, 2), np.uint8)), r"holds uint8 of shape \(2, 2\), not uint8 of shape"),
        (lambda content: idx_bytes(np.zeros(3, np.float32)), "holds float32"),
    ],
)
@pytest.mark.parametrize("place", ["given", "cache/mnist"])
def test_a_wrong_file_is_named_with_what_to_do(tiny, tmp_path, place, name, damage, message):
    put(tmp_path / place, {**tiny, name: damage(tiny[name])})
    with pytest.raises(DataError, match=rf"{name}\.gz.*{message}") as caught:
        data.load("auto", tmp_path / "given", fetch=False)
    assert str(tmp_path / place) in str(caught.value)
    assert not isinstance(caught.value, MissingDataError), "auto must not pass over a damaged file"
    remedy = "delete it, and it is downloaded again" if place != "given" else "put the original in its place"
    assert str(caught.value).endswith(remedy)


def test_what_is_missing_is_named_with_where_it_looked(tiny, tmp_path):
    put(tmp_path / "given", dict(list(tiny.items())[:3]))
    with pytest.raises(MissingDataError) as caught:
        data.mnist(tmp_path / "given", fetch=False)
    text = str(caught.value)
    assert text.startswith("MNIST lacks t10k-labels-idx1-ubyte. Looked in ")
    for expected in (tmp_path / "given", tmp_path / "given" / "mnist", tmp_path / "cache" / "mnist", "GRADENGINE_DATA"):
        assert str(expected) in text


# -- downloads ------------------------------------------------------------------------------------------------------


class Mirror(http.server.BaseHTTPRequestHandler):
    """Serves `files`; a file's `faults` says what it does wrong instead."""

    def do_GET(self):
        name = self.path.rsplit("/", 1)[-1]
        self.server.asked.append(name)
        fault = self.server.faults.get(name, "")
        if fault == "404" or name not in self.server.files:
            self.send_error(404)
            return
        content = self.server.files[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if fault == "breaks off" else content)

    def log_message(self, *args):
        pass


@pytest.fixture
def mirror(monkeypatch):
    """Makes web servers on this machine: `mirror(files, faults)` returns one, its address in `.url`."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    servers = []

    def start(files, faults=()):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
        server.files, server.faults, server.asked = files, dict(faults), []
        server.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return server

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def zipped(files):
    return {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in files.items()}


def cached(tmp_path):
    return sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file())


def test_what_is_not_there_is_downloaded_once(tiny, tmp_path, monkeypatch, mirror, capsys):
    server = mirror(zipped(tiny))
    monkeypatch.setattr(sources, "MIRRORS", (server.url,))
    check_tiny(data.load("auto"), tiny)
    assert cached(tmp_path) == sorted(zipped(tiny))
    assert f"downloading {server.url}train-images-idx3-ubyte.gz" in capsys.readouterr().err
    check_tiny(data.mnist(), tiny)
    assert sorted(server.asked) == sorted(zipped(tiny))


def test_downloads_can_be_silent_or_forbidden(tiny, monkeypatch, mirror, capsys):
    server = mirror(zipped(tiny))
    monkeypatch.setattr(sources, "MIRRORS", (server.url,))
    with pytest.raises(MissingDataError, match="Downloading was not allowed"):
        data.mnist(fetch=False)
    assert server.asked == []
    data.mnist(progress=False)
    assert capsys.readouterr() == ("", "")


def test_a_server_that_unpacks_the_files_serves_too(tiny, monkeypatch, mirror):
    monkeypatch.setattr(sources, "MIRRORS", (mirror({f"{name}.gz": content for name, content in tiny.items()}).url,))
    check_tiny(data.mnist(), tiny)
    check_tiny(data.mnist(), tiny)


@pytest.mark.parametrize("count", [10_000, 2**24])
def test_a_gzip_bomb_ends_at_the_known_size(tiny, tmp_path, count):
    """Labels whose header claims 16 million, which are there: they are not read."""
    put(tmp_path / "given", tiny)
    bomb = gzip.compress(header(count) + bytes(count), 9)
    (tmp_path / "given" / "train-labels-idx1-ubyte.gz").write_bytes(bomb)
    (tmp_path / "given" / "train-labels-idx1-ubyte").unlink(missing_ok=True)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=rf"holds uint8 of shape \({count},\), not uint8 of shape"):
            data.mnist(tmp_path / "given")
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_a_download_without_end_is_stopped(tiny, tmp_path, monkeypatch, mirror):
    files = zipped(tiny)
    files["train-labels-idx1-ubyte.gz"] += bytes(1 << 21)
    monkeypatch.setattr(sources, "MIRRORS", (mirror(files).url,))
    with pytest.raises(MissingDataError, match="the server sends more than such a file can hold"):
        data.mnist()
    assert not [kept for kept in cached(tmp_path) if kept.endswith(".tmp") or "train-labels" in kept]


def test_auto_says_why_nothing_could_be_downloaded(tiny, monkeypatch, mirror):
    server = mirror({})
    monkeypatch.setattr(sources, "MIRRORS", (server.url, "http://127.0.0.1:1/"))
    said = []
    data.load("auto", on_fallback=said.append)
    port = server.server_port
    why = f"127.0.0.1:{port}: the server answers 404 Not Found; 127.0.0.1:1: cannot connect"
    assert f"could not be downloaded ({why})" in said[0]


WRONG = {
    "404": ("404", None, "the server answers 404 Not Found"),
    "breaks off": ("breaks off", None, "the transfer failed"),
    "cut": ("", lambda content: gzip.compress(content, mtime=0)[:-20], "is truncated"),
    "portal": ("", lambda content: b"<html>please log in</html>", "is no IDX file"),
    "other": (
        "",
        lambda content: gzip.compress(content[:-1] + bytes([content[-1] ^ 1]), mtime=0),
        "of another dataset",
    ),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_download_is_never_kept(tiny, tmp_path, monkeypatch, mirror, fault):
    flaw, damage, message = WRONG[fault]
    name = "train-labels-idx1-ubyte"
    files = zipped(tiny)
    if damage:
        files[f"{name}.gz"] = damage(tiny[name])
    bad = mirror(files, {f"{name}.gz": flaw})
    monkeypatch.setattr(sources, "MIRRORS", (bad.url,))
    with pytest.raises(MissingDataError, match=message) as caught:
        data.mnist()
    assert f"{bad.url}{name}.gz" in str(caught.value)
    assert "name it in GRADENGINE_DATA" in str(caught.value)
    assert f"{name}.gz" not in cached(tmp_path)
    assert not [kept for kept in cached(tmp_path) if kept.endswith(".tmp")]

    monkeypatch.setattr(sources, "MIRRORS", (bad.url, mirror(zipped(tiny)).url))
    check_tiny(data.mnist(), tiny)


def test_without_network(tiny, monkeypatch, mirror):
    server = mirror({})
    server.shutdown()
    server.server_close()
    monkeypatch.setattr(sources, "MIRRORS", (server.url,))
    with pytest.raises(MissingDataError, match=r"Downloading failed: .*train-images-idx3-ubyte\.gz: cannot connect"):
        data.load("mnist")


def test_a_mirror_that_falls_silent(tiny, monkeypatch, mirror):
    server = mirror(zipped(tiny))
    go_on = threading.Event()
    server.process_request = lambda *request: go_on.wait(5) and server.shutdown_request(request[0])
    monkeypatch.setattr(download, "PATIENCE", (0.2, 0.2))
    monkeypatch.setattr(sources, "MIRRORS", (server.url,))
    try:
        with pytest.raises(MissingDataError, match="the server fell silent"):
            data.mnist()
    finally:
        go_on.set()


def test_a_cache_that_cannot_be_written(tiny, tmp_path, monkeypatch, mirror):
    (tmp_path / "cache").write_bytes(b"a file where the folder should be")
    monkeypatch.setattr(sources, "MIRRORS", (mirror(zipped(tiny)).url,))
    with pytest.raises(
        MissingDataError, match=r"Cannot keep the download .* name another folder in GRADENGINE_CACHE_DIR"
    ):
        data.mnist()


def test_without_pooch(tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingDataError, match=r"-m pip install '\.\[train\]' in gradengine's folder"):
        data.mnist()
    monkeypatch.delenv("GRADENGINE_CACHE_DIR")
    with pytest.raises(MissingDataError, match=r"-m pip install '\.\[train\]' in gradengine's folder"):
        data.mnist()
    put(tmp_path / "given", tiny)
    check_tiny(data.mnist(tmp_path / "given"), tiny)


def test_the_cache_folder_is_the_systems_unless_named(monkeypatch):
    import pooch

    monkeypatch.delenv("GRADENGINE_CACHE_DIR", raising=False)
    assert download.cache_folder() == Path(pooch.os_cache("gradengine"))
    monkeypatch.setenv("GRADENGINE_CACHE_DIR", "here")
    assert download.cache_folder() == Path.cwd() / "here"


def test_a_terminal_gets_a_bar(tiny, monkeypatch, mirror, capsys):
    from rich import console

    monkeypatch.setattr(console.Console, "is_terminal", property(lambda self: True))
    monkeypatch.setattr(sources, "MIRRORS", (mirror(zipped(tiny), {"t10k-labels-idx1-ubyte.gz": "breaks off"}).url,))
    with pytest.raises(MissingDataError):  # a bar that is left early must not linger
        data.mnist()
    shown = capsys.readouterr().err
    assert "train-images-idx3-ubyte.gz" in shown
    assert "━" in shown
    assert "downloading" not in shown
    last = max(shown.rfind("━"), shown.rfind("idx"))
    assert "\x1b[2K" in shown[last:]  # the line of the bar is erased in the end


def test_real_mnist(mnist_dir, monkeypatch):
    images = data.mnist(mnist_dir, fetch=False)
    assert repr(images) == "ImageData('mnist', 60000 train and 10000 test pictures of 28x28, 10 classes)"
    assert np.bincount(images.train_labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(images.test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert images.mean_and_std == pytest.approx((0.1307, 0.3081), abs=5e-5)  # the figures that everybody uses
    monkeypatch.setenv("GRADENGINE_DATA", str(mnist_dir.parent))
    assert data.load("auto", fetch=False).name == "mnist"


# -- digits and load ------------------------------------------------------------------------------------------------


def test_digits_are_scikit_learns_split_by_class():
    from sklearn.datasets import load_digits

    images, original = data.digits(), load_digits()
    assert images.brightest == original.images.max() == 16
    assert images.train_images.dtype == np.uint8
    rows = {(*image.ravel(), label) for image, label in zip(original.images, original.target, strict=True)}
    pixels = np.concatenate([images.train_images, images.test_images])
    labels = np.concatenate([images.train_labels, images.test_labels])
    assert {(*image.ravel(), label) for image, label in zip(pixels, labels, strict=True)} == rows
    assert len(pixels) == len(original.images) == 1797
    assert np.bincount(images.test_labels).tolist() == (np.bincount(original.target) // 5).tolist()
    np.testing.assert_array_equal(images.test_images, data.digits().test_images)


def test_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match=r"-m pip install '\.\[train\]' in gradengine's folder"):
        data.digits()


def test_auto_says_loudly_that_it_falls_back(tiny):
    lines = []
    images = data.load("auto", fetch=False, on_fallback=lines.append)
    assert images.name == "digits"
    assert images.fallback.startswith("MNIST lacks train-images-idx3-ubyte")
    assert len(lines) == 1
    assert "\n" not in lines[0]
    assert "MNIST" in lines[0]
    assert "digits" in lines[0]
    with pytest.warns(UserWarning, match="using the 1,797 small digits"):
        data.load(fetch=False)


def test_auto_names_what_the_folder_lacks(tiny, tmp_path, monkeypatch):
    put(tmp_path / "given" / "mnist", dict(list(tiny.items())[:3]))
    lines = []
    data.load("auto", tmp_path / "given", fetch=False, on_fallback=lines.append)
    monkeypatch.setenv("GRADENGINE_DATA", str(tmp_path / "given"))
    data.load("auto", fetch=False, on_fallback=lines.append)
    for line, named in zip(lines, ["", ", named by GRADENGINE_DATA,"], strict=True):
        assert f"({tmp_path / 'given'}{named} lacks t10k-labels-idx1-ubyte)" in line
        assert "to use MNIST, put t10k-labels-idx1-ubyte there" in line


def test_mnist_without_data_is_an_error(tiny):
    with pytest.raises(MissingDataError, match="MNIST lacks"):
        data.load("mnist", fetch=False, on_fallback=lambda line: pytest.fail(line))


def test_digits_by_name_are_no_fallback():
    images = data.load("digits", on_fallback=lambda line: pytest.fail(line))
    assert (images.name, images.fallback) == ("digits", "")


def test_an_unknown_dataset():
    with pytest.raises(ArgumentError, match="dataset 'cifar' is unknown; choose one of auto, mnist, digits"):
        data.load("cifar")


# -- ImageData ------------------------------------------------------------------------------------------------------


@pytest.fixture
def images(rng):
    train, test = (rng.integers(0, 17, (n, 2, 3)).astype(np.uint8) for n in (7, 4))
    return ImageData("some", train, np.arange(7), test, np.arange(4), brightest=16)


def test_arrays_are_scaled_flattened_and_normalized(images):
    assert (images.shape, images.features) == ((2, 3), 6)
    pixels, labels = images.arrays("test")
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels, (images.test_images / 16).astype(np.float32))
    np.testing.assert_array_equal(labels, np.arange(4))
    flat, _ = images.arrays("train", flatten=True)
    np.testing.assert_array_equal(flat, images.arrays("train")[0].reshape(7, 6))
    scaled = images.train_images / 16
    assert images.mean_and_std == pytest.approx((scaled.mean(), scaled.std()), rel=1e-12)
    normal, _ = images.arrays("test", normalize=True)
    np.testing.assert_allclose(normal, (images.test_images / 16 - scaled.mean()) / scaled.std(), rtol=1e-5)
    assert images.test_images.dtype == np.uint8, "the originals stay as they are"


def test_pictures_of_one_colour_can_be_normalized():
    flat = ImageData("flat", *(np.zeros((2, 1, 1), np.uint8), np.zeros(2, np.int64)) * 2)
    assert flat.arrays("train", normalize=True)[0].tolist() == [[[0]], [[0]]]


def test_pictures_and_labels_must_go_together(images):
    good = (images.train_images, images.train_labels, images.test_images, images.test_labels)
    for place, wrong in ((1, np.arange(6)), (0, np.zeros((7, 6), np.uint8)), (2, np.zeros((4, 3, 2), np.uint8))):
        with pytest.raises(ShapeError, match="must be"):
            ImageData("some", *good[:place], wrong, *good[place + 1 :])
    with pytest.raises(DTypeError, match="train_images must be uint8, got float64"):
        ImageData("some", images.train_images / 16, *good[1:])
    with pytest.raises(ArgumentError, match="'train' or 'test', got 'valid'"):
        images.arrays("valid")


# -- TensorDataset and DataLoader -----------------------------------------------------------------------------------


def batches(loader):
    return [tuple(array.tolist() for array in batch) for batch in loader]


@given(
    samples=st.integers(0, 30),
    batch_size=st.integers(1, 35),
    shuffle=st.booleans(),
    drop_last=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_an_epoch_gives_each_sample_once(samples, batch_size, shuffle, drop_last, seed):
    arrays = np.arange(samples), np.arange(samples * 2.0).reshape(samples, 2)
    loader = DataLoader(arrays, batch_size, shuffle, drop_last=drop_last, generator=ge.Generator(seed))
    found = list(loader)
    assert len(found) == len(loader)
    assert all(isinstance(array, ge.Tensor) for batch in found for array in batch)
    assert all(len(x) == batch_size for x, _ in (found if drop_last else found[:-1]))
    seen = [i for x, _ in found for i in x.tolist()]
    expected = samples // batch_size * batch_size if drop_last else samples
    assert len(seen) == len(set(seen)) == expected
    if not shuffle:
        assert seen == list(range(expected))
    for x, y in found:
        assert y.shape == (len(x), 2)
        np.testing.assert_array_equal(np.asarray(y), arrays[1][np.asarray(x)])


def test_orders_change_from_epoch_to_epoch_and_repeat_by_seed():
    def epochs(seed):
        loader = DataLoader(np.arange(50), batch_size=7, shuffle=True, generator=ge.Generator(seed))
        return [batches(loader) for _ in range(3)]

    first = epochs(1)
    assert first == epochs(1)
    assert first != epochs(2)
    assert first[0] != first[1] != first[2]


def test_the_engines_own_generator_is_the_default():
    loader = DataLoader(np.arange(50), batch_size=50, shuffle=True)
    ge.manual_seed(3)
    first, second = batches(loader), batches(loader)
    ge.manual_seed(3)
    assert batches(loader) == first
    assert batches(loader) == second
    np.testing.assert_array_equal(np.sort(np.ravel(first)), np.arange(50))


@given(st.data())
def test_a_resumed_loader_gives_the_very_same_batches(draw):
    samples, batch_size = draw.draw(st.integers(0, 20)), draw.draw(st.integers(1, 6))
    shuffle, drop_last = draw.draw(st.booleans()), draw.draw(st.booleans())
    shared = draw.draw(st.booleans(), "others draw from the generator too")

    def make(seed):
        generator = ge.Generator(seed)
        return generator, DataLoader(np.arange(samples), batch_size, shuffle, drop_last=drop_last, generator=generator)

    def train(generator, loader, epochs, stop=None):
        """The batches of some epochs, and the state after batch number `stop` (0: before the first)."""
        log, state = [], (loader.state_dict(), generator.state_dict()) if stop == 0 else None
        for _ in range(epochs):
            for x in loader:
                log.append(x.tolist())
                if shared:
                    log.append(ge.rand(2, generator=generator).tolist())
                if stop is not None and sum(1 for entry in log if not shared or isinstance(entry[0], int)) == stop:
                    state, stop = (loader.state_dict(), generator.state_dict()), None
        return log, state

    epochs = 3
    generator, loader = make(5)
    total = epochs * len(loader)
    stop = draw.draw(st.integers(0, total))
    log, state = train(generator, loader, epochs, stop)

    generator, loader = make(6)
    list(loader)  # whatever it has done before
    for load, part in draw.draw(st.permutations([(loader.load_state_dict, 0), (generator.load_state_dict, 1)])):
        load(state[part])
    assert (loader.state_dict(), generator.state_dict()) == state, "a state that is loaded is the state"
    done = -(-stop // len(loader)) if total else 0  # the epoch of batch `stop` counts as under way until it ends
    left = epochs - max(0, done - 1)
    resumed, _ = train(generator, loader, left)
    assert resumed == log[stop * (2 if shared else 1) :]


def test_a_new_loop_after_a_break_is_a_new_epoch():
    loader = DataLoader(np.arange(6), batch_size=2)
    next(iter(loader))
    assert batches(loader) == [(0, 1), (2, 3), (4, 5)]
    next(iter(loader))
    loader.load_state_dict(loader.state_dict())
    assert next(iter(loader)).tolist() == [2, 3]
    assert batches(loader) == [(0, 1), (2, 3), (4, 5)]


def test_between_epochs_the_next_one_is_whole():
    def make(seed):
        return DataLoader(np.arange(20), batch_size=6, shuffle=True, generator=ge.Generator(seed))

    loader, other = make(1), make(2)
    batches(loader)
    other.load_state_dict(loader.state_dict())
    assert batches(other) == batches(loader)


def test_the_state_is_that_of_the_loop_begun_last():
    loader = DataLoader(np.arange(6), batch_size=2)
    first, second = iter(loader), iter(loader)
    next(second)
    assert len(list(first)) == 3
    assert loader.state_dict()["epoch"]["position"] == 1
    assert len(list(second)) == 2
    assert loader.state_dict()["epoch"] is None


def test_two_loops_over_one_loader_do_not_disturb_each_other():
    loader = DataLoader(np.arange(6), batch_size=2)
    assert [(a.tolist(), b.tolist()) for a, b in zip(loader, loader, strict=True)] == [
        ([0, 1], [0, 1]),
        ([2, 3], [2, 3]),
        ([4, 5], [4, 5]),
    ]


def test_the_state_goes_through_a_checkpoint(tmp_path):
    pytest.importorskip("safetensors")
    loader = DataLoader(np.arange(40), batch_size=4, shuffle=True, generator=ge.Generator(1))
    epoch = iter(loader)
    for _ in range(3):
        next(epoch)
    ge.save({"loader": loader.state_dict()}, tmp_path / "x")
    other = DataLoader(np.arange(40), batch_size=4, shuffle=True, generator=ge.Generator(2))
    other.load_state_dict(ge.load(tmp_path / "x")["loader"])
    assert batches(other) == batches(epoch)
    assert batches(other) == batches(loader)


def test_a_state_of_another_loader_is_refused():
    state = DataLoader(np.arange(10), batch_size=3).state_dict()
    for other in (DataLoader(np.arange(9), batch_size=3), DataLoader(np.arange(10), batch_size=2)):
        with pytest.raises(CheckpointError, match=r"samples=10, batch_size=3.*same data and settings"):
            other.load_state_dict(state)
    loader = DataLoader(np.arange(10), batch_size=3)
    for wrong in ({}, None, {**state, "epoch": 3}, {**state, "epoch": {"generator": None, "position": 5}}):
        with pytest.raises(CheckpointError, match="DataLoader: "):
            loader.load_state_dict(wrong)


def test_what_a_loader_takes():
    array = np.arange(4)
    for given_ in ((array,), TensorDataset(array), ge.data.Subset(TensorDataset(array), range(4))):
        assert batches(DataLoader(given_, batch_size=3)) == [([0, 1, 2],), ([3],)]
        assert all(type(batch) is list for batch in DataLoader(given_, batch_size=3, num_workers=1))
    for given_ in (array, ge.tensor(array), ge.tensor(array, dtype=ge.int32)):
        assert [batch.tolist() for batch in DataLoader(given_, batch_size=3)] == [[0, 1, 2], [3]]

    with pytest.warns(ge.SpellingWarning, match=r"a list is one of samples, as in PyTorch, here 2 of shape \(4,\)"):
        DataLoader([array, np.ones((4, 2))])

    class Squares:
        def __len__(self):
            return 5

        def __getitem__(self, index):
            return array_of_squares[index]

    array_of_squares = np.arange(5) ** 2
    loader = DataLoader(Squares(), batch_size=2, shuffle=True, generator=ge.Generator(0), device="cpu")
    assert sorted(value for x in loader for value in x.tolist()) == [0, 1, 4, 9, 16]
    assert len(DataLoader(Squares(), batch_size=2, drop_last=True)) == 2


def test_a_list_of_samples_is_stacked():
    x, y = np.arange(10, dtype=np.float32).reshape(5, 2), np.arange(5)
    for pairs in (
        list(zip(x, y, strict=True)),
        [(ge.tensor(row), int(label)) for row, label in zip(x, y, strict=True)],
    ):
        loader = DataLoader(pairs, batch_size=3)
        assert batches(loader) == batches(DataLoader((x, y), batch_size=3))
        assert next(iter(loader))[0].dtype == np.float32
    assert batches(DataLoader([(1, 5), (2, 6), (3, 7)], batch_size=3)) == [([1, 2, 3], [5, 6, 7])]
    assert next(iter(DataLoader([(0.5, [1.0, 2.0])])))[0].dtype == np.float32
    for ragged in ([(1, 2), (3,)], [(x[0], 1), (x[0, :1], 2)]):
        with pytest.raises(ShapeError, match=r"equal length with values of equal shapes .* put them into a tuple"):
            DataLoader(ragged)


@pytest.mark.parametrize(
    "one",
    [
        lambda x, i: (x[i], int(x[i, 0])),
        lambda x, i: (x[i], [7, 8, 9, 5, 6][i]),
        lambda x, i: (x[i], 3),
        lambda x, i: (x[i] / x[i].max(), x[i].sum()),  # runs for many positions too, with another meaning
    ],
)
def test_a_dataset_of_single_samples_is_asked_for_them(one):
    class Single:
        def __len__(self):
            return 5

        def __getitem__(self, index):
            return one(np.arange(1.0, 11.0).reshape(5, 2), index)

    loader = DataLoader(Single(), batch_size=2)
    for _ in range(2):
        for begin, (x, y) in zip((0, 2, 4), loader, strict=True):
            samples = [Single()[i] for i in range(begin, min(begin + 2, 5))]
            np.testing.assert_array_equal(x.numpy(), np.stack([sample[0] for sample in samples]))
            np.testing.assert_array_equal(y.numpy(), np.array([sample[1] for sample in samples]))


def test_batches_record_no_graph_and_keep_their_dtype():
    x = ge.tensor(np.ones((4, 2), np.float32), requires_grad=True)
    ((batch, labels),) = DataLoader((x, np.arange(4, dtype=np.uint8)), batch_size=4, shuffle=True)
    assert not batch.requires_grad
    assert batch.dtype == np.float32
    assert labels.dtype == np.uint8


def test_a_dataset_shares_the_memory_of_its_arrays():
    images, labels = np.ones((6, 2), np.float32), ge.arange(6)
    loader = DataLoader((images, labels), batch_size=4, device="cpu")
    for held, given_ in zip(loader.dataset.tensors, (images, labels), strict=True):
        assert np.shares_memory(held.numpy(), np.asarray(given_))
    batch = next(iter(loader))[0]
    batch += 1
    batch[0] = 5
    assert (images == 1).all(), "a batch is a value: changing it leaves the data alone"
    held = TensorDataset(images).tensors[0]
    held[0] = 7
    assert (images == 1).all()
    assert TensorDataset([[1.0], [2.0]])[0:2][0].dtype == np.float32


def test_wrong_arguments():
    for wrong in (0, -1, 2.0, "8", True):
        with pytest.raises(ArgumentError, match="batch_size must be a positive int, got"):
            DataLoader(np.arange(3), batch_size=wrong)
    with pytest.raises(ShapeError, match=r"equally long .* got \(3,\), \(4, 2\)"):
        DataLoader((np.arange(3), np.zeros((4, 2))), batch_size=2)
    with pytest.raises(ShapeError, match="needs a first axis"):
        TensorDataset(np.array(3.0))
    with pytest.raises(ArgumentError, match="at least one array"):
        TensorDataset()
    with pytest.raises(ArgumentError, match="zip lacks them; pass the arrays"):
        DataLoader(zip([1], [2], strict=True))
