"""Which plugin libraries an engine asks for when it is loaded."""

import warnings
from types import SimpleNamespace

import pytest

from tf2trt.errors import PluginError
from tf2trt.sidecar import check_plugins, plugin_entry, sha256

OWN = "libtf2trt_plugins.so"


@pytest.fixture
def library(tmp_path):
    """library(name): a file that stands in for a plugin library."""

    def make(name, content=b"code"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return make


def recorded(*paths):
    return SimpleNamespace(plugins=tuple(plugin_entry(path) for path in paths))


@pytest.fixture(autouse=True)
def no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_an_entry_is_the_files_name_and_hash(library):
    assert plugin_entry(library("libmine.so")) == {"file": "libmine.so", "sha256": sha256(b"code")}


def test_what_was_recorded_and_is_given_passes(library):
    mine, own = library("libmine.so"), library(OWN, b"own")
    check_plugins("m.engine", recorded(mine, own), [mine], own)
    check_plugins("m.engine", recorded(own), [], own)
    check_plugins("m.engine", recorded(), [], None)
    check_plugins("m.engine", None, [mine], None)


def test_a_library_may_have_been_renamed(library):
    check_plugins("m.engine", recorded(library("libmine.so")), [library("libother.so")])


@pytest.mark.parametrize(("name", "words"), [("libmine.so", "--plugin-library"), (OWN, "TF2TRT_PLUGINS_LIBRARY")])
def test_a_missing_one_is_named(library, name, words):
    sidecar = recorded(library(name))
    with pytest.raises(PluginError) as caught:
        check_plugins("m.engine", sidecar, [library("libother.so", b"other")])
    text = str(caught.value)
    assert f"needs the plugin library {name}" in text
    assert sidecar.plugins[0]["sha256"] in text
    assert "libother.so" in text
    assert words in text


def test_another_build_of_it_is_a_warning(library):
    sidecar = recorded(library("libmine.so"))
    with pytest.warns(RuntimeWarning, match=r"another build of libmine\.so"):
        check_plugins("m.engine", sidecar, [library("libmine.so", b"newer")])


def test_a_given_file_that_is_not_there(tmp_path):
    with pytest.raises(PluginError, match=r"cannot read the plugin library .*gone\.so"):
        check_plugins("m.engine", recorded(), [tmp_path / "gone.so"])
