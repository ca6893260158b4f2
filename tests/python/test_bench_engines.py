"""tf2trt bench measures engines, on a fake driver and a fake TensorRT."""

import pytest

from tf2trt.bench.checks import make_plan
from tf2trt.bench.options import BenchOptions
from tf2trt.errors import DeviceError


@pytest.mark.parametrize(
    "body",
    [
        "measures_engines",
        "measures_as_trtexec_does",
        "runs_with_and_without_graphs",
        "refuses_what_the_sidecar_rules_out",
    ],
)
def test_on_the_fakes(fake_gpu, tmp_path, body):
    fake_gpu.run(f"bench_bodies.{body}", str(tmp_path))


def test_without_a_gpu_an_engine_is_refused_before_anything_starts(cli, tmp_path):
    (tmp_path / "m.engine").write_bytes(b"plan")
    with pytest.raises(DeviceError, match="no usable GPU"):
        make_plan(BenchOptions((str(tmp_path / "m.engine"),)))
    result = cli("bench", tmp_path / "m.engine", "--json")
    assert result.status == 1
    assert result.out == ""
    assert "no usable GPU" in result.err
