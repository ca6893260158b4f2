"""Calibration data of every kind, as checked batches."""

import itertools

import numpy as np
import pytest

from tf2trt.calibration import CalibrationData
from tf2trt.errors import UsageError
from tf2trt.specs import TensorSpec

X = TensorSpec("x", "float32", (-1, 4))
IMAGE = TensorSpec("image", "float32", (-1, 6, 5, 3))
PAIR = (TensorSpec("a", "float32", (-1, 3)), TensorSpec("b", "int32", (-1, 2)))
ARRAY = np.arange(40, dtype=np.float32).reshape(10, 4)


def all_of(data, specs=(X,), **keywords):
    """The batches of one pass, joined along the batch."""
    batches = list(data.batches(specs, **keywords))
    assert all(array.flags.c_contiguous for batch in batches for array in batch.values())
    return {spec.name: np.concatenate([batch[spec.name] for batch in batches]) for spec in specs}


def sizes(data, specs=(X,), **keywords):
    return [len(next(iter(batch.values()))) for batch in data.batches(specs, **keywords)]


def saved(folder, kind):
    """The same ten samples, in the way that ``kind`` names."""
    path = folder / kind
    if kind == "a.npy":
        np.save(path, ARRAY)
    elif kind == "columns.npy":
        np.save(path, np.asfortranarray(ARRAY))
    elif kind == "a.npz":
        np.savez(path, x=ARRAY, labels=np.zeros(10))
    elif kind == "packed.npz":
        np.savez_compressed(path, x=np.asfortranarray(ARRAY), labels=np.zeros(10))
    elif kind == "single.npz":
        np.savez(path, of_any_name=ARRAY)
    else:
        (path / "inner").mkdir(parents=True)
        (path / "notes.txt").write_text("no data")
        for index, row in enumerate(ARRAY):
            name = path / ("inner" if index > 4 else "") / f"{index}.{'npz' if kind == 'of npz' else 'npy'}"
            np.savez(name, x=row) if kind == "of npz" else np.save(name, row if index % 2 else row[np.newaxis])
    return path


FILES = ("a.npy", "columns.npy", "a.npz", "packed.npz", "single.npz", "of npy", "of npz")


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("as_text", [True, False])
def test_files_and_folders(tmp_path, kind, as_text):
    path = saved(tmp_path, kind)
    data = CalibrationData(str(path) if as_text else path, batch_size=4)
    assert data.count == 10
    if kind == "of npy":  # sorted by path: the inner folder comes after the files 0 to 4
        assert sizes(data) == [4, 4, 2]
    np.testing.assert_array_equal(all_of(data)["x"], ARRAY)
    np.testing.assert_array_equal(all_of(data)["x"], ARRAY)  # a second pass


def elements():
    """A module-level factory, for ``module:function``."""
    return iter(ARRAY)


SOURCES = {
    "array": lambda: ARRAY,
    "dictionary": lambda: {"x": ARRAY, "labels": np.zeros(10)},
    "list": lambda: list(ARRAY),
    "factory": lambda: elements,
    "factory of arrays": lambda: lambda: {"x": ARRAY},
    "generator": lambda: (row for row in ARRAY),
    "of batches": lambda: [ARRAY[:3], ARRAY[3:4], ARRAY[4:]],
    "with labels": lambda: [(row, 1) for row in ARRAY],
    "dictionaries": lambda: [{"x": row} for row in ARRAY],
    "dictionaries with labels": lambda: [({"x": ARRAY[:5]}, [0] * 5), ({"x": ARRAY[5:]}, [0] * 5)],
}


@pytest.mark.parametrize("source", list(SOURCES))
def test_what_is_in_memory(source):
    data = CalibrationData(SOURCES[source](), batch_size=4)
    assert data.one_shot == (source == "generator")
    batches = list(data.batches((X,)))
    assert [len(batch["x"]) for batch in batches] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate([batch["x"] for batch in batches]), ARRAY)


def test_a_function_by_name(tmp_path, monkeypatch):
    (tmp_path / "given_here.py").write_text("def rows():\n    for i in range(3):\n        yield [i]\nnumber = 1\n")
    monkeypatch.chdir(tmp_path)
    data = CalibrationData("given_here:rows", batch_size=2)
    assert sizes(data, (TensorSpec("i", "int64", (-1, 1)),)) == [2, 1]
    for text, words in (
        ("given_here:none", "no function"),
        ("given_here:number", "no function"),
        ("nowhere_:f", "no mod"),
    ):
        with pytest.raises(UsageError, match=words):
            CalibrationData(text)


def test_a_tensorflow_dataset():
    tf = pytest.importorskip("tensorflow")
    dataset = tf.data.Dataset.from_tensor_slices((ARRAY, np.zeros(10))).batch(3)
    for source in (dataset, dataset.unbatch(), lambda: dataset):
        data = CalibrationData(source, batch_size=4)
        assert data.count is None
        assert sizes(data) == [4, 4, 2]
        np.testing.assert_array_equal(all_of(data)["x"], ARRAY)


def test_several_inputs(tmp_path):
    a, b = np.random.default_rng(1).normal(size=(7, 3)).astype(np.float32), np.arange(14, dtype=np.int32).reshape(7, 2)
    np.savez(tmp_path / "ab.npz", b=b, a=a)
    for source in (
        {"b": b, "a": a},
        tmp_path / "ab.npz",
        list(zip(a, b)),
        [((a[:4], b[:4]), 0), ((a[4:], b[4:]), 0)],
        [{"a": row, "b": other} for row, other in zip(a, b)],
    ):
        found = all_of(CalibrationData(source, batch_size=3), PAIR)
        np.testing.assert_array_equal(found["a"], a)
        np.testing.assert_array_equal(found["b"], b)


def test_images(tmp_path):
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(2).integers(0, 256, (4, 6, 5, 3), np.uint8)
    for index, each in enumerate(pixels):
        image.fromarray(each).save(tmp_path / f"{index}.png")
    image.fromarray(pixels[0, ..., 0]).save(tmp_path / "9.png")  # grey: comes as RGB too
    half = all_of(CalibrationData(tmp_path, preprocess=lambda array: array / np.float32(255)), (IMAGE,))["image"]
    np.testing.assert_array_equal(half[:4], pixels / np.float32(255))
    np.testing.assert_array_equal(half[4, ..., 2], half[0, ..., 0])
    raw = all_of(CalibrationData(tmp_path), (TensorSpec("image", "uint8", (-1, 6, 5, 3)),))
    np.testing.assert_array_equal(raw["image"][:4], pixels)
    with pytest.raises(UsageError, match=r"raw bytes.*--preprocess"):
        next(CalibrationData(tmp_path).batches((IMAGE,)))
    (tmp_path / "5.png").write_bytes(b"\x89PNG, or not")
    with pytest.raises(UsageError, match=r"5\.png cannot be read"):
        sizes(CalibrationData(tmp_path, preprocess=lambda array: array / np.float32(255)), (IMAGE,))


def test_preprocess_is_for_arrays_and_files(tmp_path):
    double = CalibrationData({"x": ARRAY.astype(np.uint8)}, preprocess=lambda row: row * np.float32(2))
    np.testing.assert_array_equal(all_of(double)["x"], 2 * ARRAY)
    both = CalibrationData({"p": ARRAY, "q": ARRAY}, preprocess=lambda row: (row["p"] + row["q"])[np.newaxis])
    np.testing.assert_array_equal(all_of(both)["x"], 2 * ARRAY)
    with pytest.raises(UsageError, match="preprocess is for arrays and files"):
        CalibrationData(elements, preprocess=lambda row: row)


def test_a_limit_is_spread_over_arrays_and_cuts_iterables(tmp_path):
    np.savez(tmp_path / "a.npz", x=ARRAY)
    for source in (ARRAY, tmp_path / "a.npz"):
        data = CalibrationData(source, samples=5)
        assert data.count == 5
        np.testing.assert_array_equal(all_of(data)["x"], ARRAY[::2])
    endless = CalibrationData(lambda: itertools.cycle(ARRAY), samples=13, batch_size=5)
    assert sizes(endless) == [5, 5, 3]
    assert CalibrationData(ARRAY, samples=50).count == 10


def test_a_static_batch_is_kept_to():
    fixed = (TensorSpec("x", "float32", (3, 4)),)
    data = CalibrationData(ARRAY, batch_size=8)
    assert data.batch_size(fixed) == 3
    assert sizes(data, fixed) == [3, 3, 3]
    assert sizes(data, full=True) == [8]
    with pytest.raises(UsageError, match="not one full batch"):
        sizes(CalibrationData(ARRAY[:2]), fixed)


def test_dynamic_extents_make_batches_of_one_shape():
    spec = (TensorSpec("x", "float32", (-1, -1)),)
    rows = [np.ones(n, np.float32) for n in (3, 3, 3, 5, 5, 2)]
    data = CalibrationData(rows, batch_size=2)
    assert [batch["x"].shape for batch in data.batches(spec)] == [(2, 3), (1, 3), (2, 5), (1, 2)]
    assert [batch["x"].shape for batch in data.batches(spec, full=True)] == [(2, 3), (2, 5)]


@pytest.mark.parametrize(
    "source",
    [ARRAY[:0], {"x": ARRAY[:0]}, {}, [], lambda: iter(()), (row for row in ())],
    ids=["array", "dictionary", "no arrays", "list", "factory", "generator"],
)
def test_an_empty_data_set(source):
    with pytest.raises(UsageError, match="it is empty"):
        list(CalibrationData(source).batches((X,)))


def test_an_empty_folder(tmp_path):
    with pytest.raises(UsageError, match=r"no file in .* can be read"):
        CalibrationData(tmp_path)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (ARRAY.astype(np.float64), r"float64 4(?s:.)*astype\(np\.float32\)"),
        (ARRAY.astype(np.int32), "int32 4"),
        (np.ones((10, 5), np.float32), r"float32 5(?s:.)*float32 4"),
        (np.ones((10, 2, 4, 1), np.float32), "float32 2x4x1"),
    ],
)
def test_wrong_types_and_shapes(array, words):
    with pytest.raises(UsageError, match=words):
        next(CalibrationData(array).batches((X,)))


def test_channels_in_the_wrong_place():
    with pytest.raises(UsageError, match="channels first or last"):
        next(CalibrationData(np.ones((2, 3, 6, 5), np.float32)).batches((IMAGE,)))


@pytest.mark.parametrize(("value", "words"), [(np.nan, "1 NaN, 0 infinite"), (-np.inf, "0 NaN, 1 infinite")])
def test_values_that_are_not_finite(value, words):
    array = ARRAY.copy()
    array[7, 2] = value
    batches = CalibrationData(array, batch_size=3).batches((X,))
    assert len(next(batches)["x"]) == len(next(batches)["x"]) == 3
    with pytest.raises(UsageError, match=rf"sample 7 has values that are not finite in 'x'\n.*{words}"):
        next(batches)


def test_a_generator_serves_once():
    data = CalibrationData(row for row in ARRAY)
    assert len(all_of(data)["x"]) == 10
    with pytest.raises(UsageError, match="used up"):
        data.batches((X,))


@pytest.mark.parametrize(
    ("source", "specs", "words"),
    [
        (ARRAY, PAIR, "several inputs"),
        ({"a": ARRAY}, PAIR, "nothing for the input b"),
        ({"a": ARRAY, "b": ARRAY[:3]}, PAIR, "not of one length"),
        ([{"a": np.ones((2, 3), np.float32), "b": np.ones(2, np.int32)}], PAIR, "a batch for some inputs"),
        ([{"a": np.ones((2, 3), np.float32), "b": np.ones((1, 2), np.int32)}], PAIR, "not of one length"),
        (ARRAY, (), "no inputs"),
        (ARRAY, (TensorSpec("x", "float32", ()),), "no batch axis"),
        (ARRAY, (TensorSpec("x", "float32", (2, 4)), TensorSpec("y", "float32", (3, 4))), "differ in batch"),
        (np.float32(1), (X,), "calibration data"),
        (np.array(1.0), (X,), "a single number"),
        ("nowhere.npy", (X,), "nothing at"),
        (lambda: 7, (X,), "nothing to iterate"),
    ],
)
def test_what_cannot_be_data(source, specs, words):
    with pytest.raises(UsageError, match=words):
        list(CalibrationData(source).batches(specs))


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.bin"])
def test_files_that_are_damaged(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"PK\x03\x04 no more")
    with pytest.raises(UsageError, match="can be read" if name == "a.bin" else "cannot be read"):
        CalibrationData(path)


def test_a_truncated_npy_and_pickles_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", ARRAY)
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-8])
    np.save(tmp_path / "b.npy", np.array([{}]), allow_pickle=True)
    np.savez(tmp_path / "c.npz", x=np.array([{}]))
    for name in ("a.npy", "b.npy", "c.npz"):
        with pytest.raises(UsageError, match="cannot be read"):
            CalibrationData(tmp_path / name)


@pytest.mark.parametrize("keywords", [{"batch_size": 0}, {"samples": 0}])
def test_numbers_that_cannot_be(keywords):
    with pytest.raises(UsageError, match="1 or more"):
        CalibrationData(ARRAY, **keywords)


def test_files_are_not_read_whole(tmp_path):
    import tracemalloc

    rows = np.zeros((400, 40_000), np.float32)  # 64 MB
    np.save(tmp_path / "a.npy", rows)
    np.savez(tmp_path / "a.npz", x=rows)
    spec = (TensorSpec("x", "float32", (-1, 40_000)),)
    for name in ("a.npy", "a.npz"):
        tracemalloc.start()
        assert sizes(CalibrationData(tmp_path / name, batch_size=20), spec) == [20] * 20
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 16e6
