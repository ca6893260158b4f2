import os

import pytest

from tf2trt.errors import OutputError
from tf2trt.files import atomic_write, check_writable


@pytest.mark.parametrize("data", [b"plan", bytearray(b"plan"), memoryview(b"plan")])
def test_writes_any_buffer_and_leaves_nothing_else(tmp_path, data):
    path = tmp_path / "m.engine"
    atomic_write(path, data)
    assert path.read_bytes() == b"plan"
    assert os.listdir(tmp_path) == ["m.engine"]


def test_replaces_a_file_and_takes_a_string_path(tmp_path):
    path = tmp_path / "m.engine"
    path.write_bytes(b"old")
    atomic_write(str(path), b"new")
    assert path.read_bytes() == b"new"


def test_the_mode_is_that_of_an_ordinary_file(tmp_path):
    (tmp_path / "ordinary").write_bytes(b"")
    atomic_write(tmp_path / "m", b"")
    assert (tmp_path / "m").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / "m.engine"
    path.write_bytes(b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["m.engine"]


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        atomic_write(tmp_path / "m.engine", b"new")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("write", [check_writable, lambda path: atomic_write(path, b"")])
def test_where_nothing_can_be_written(tmp_path, write):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match=f"mkdir -p {tmp_path}/missing"):
        write(tmp_path / "missing" / "m.engine")
    with pytest.raises(OutputError, match="is a file: name a folder"):
        write(tmp_path / "file" / "m.engine")
    with pytest.raises(OutputError):
        write(tmp_path)
    assert os.listdir(tmp_path) == ["file"]


def test_check_writable_leaves_the_folder_as_it_was(tmp_path):
    (tmp_path / "m.engine").write_bytes(b"old")
    check_writable(tmp_path / "m.engine")
    assert os.listdir(tmp_path) == ["m.engine"]
    assert (tmp_path / "m.engine").read_bytes() == b"old"
