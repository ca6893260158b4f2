import sys

import pytest

from tf2trt.errors import MissingExtraError
from tf2trt.extras import require


def test_an_installed_module_is_returned():
    assert require("json.decoder", "cli") is sys.modules["json.decoder"]


@pytest.mark.parametrize("module", ["no_such_package", "no_such_package.part"])
def test_a_missing_package_is_answered_with_the_pip_command(module):
    with pytest.raises(MissingExtraError) as caught:
        require(module, "cuda")
    assert "pip install 'tf2trt[cuda]'" in str(caught.value)
    assert "'no_such_package'" in str(caught.value)
    assert isinstance(caught.value, ImportError)


def test_an_import_that_fails_inside_an_installed_package_is_passed_on(tmp_path, monkeypatch):
    (tmp_path / "half_installed.py").write_text("import something_it_needs_and_lacks\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="something_it_needs_and_lacks") as caught:
        require("half_installed", "cuda")
    assert not isinstance(caught.value, MissingExtraError)
