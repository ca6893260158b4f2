"""The way in: one call, and a class in the shape of TF-TRT's, for scripts that were written for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Callable, NamedTuple, Optional, Sequence

from tf2trt.errors import UsageError
from tf2trt.hybrid.folders import PathLike
from tf2trt.hybrid.options import DEFAULT_WORKSPACE, HybridOptions, InputFunction
from tf2trt.hybrid.report import HybridReport
from tf2trt.hybrid.steps import Tf2TrtSteps, TfTrtSteps, convert_tf2trt, resolve_backend
from tf2trt.hybrid.summary import summary_lines
from tf2trt.hybrid.tftrt import convert_tf_trt

__all__ = [
    "DEFAULT_TRT_CONVERSION_PARAMS",
    "TrtConversionParams",
    "TrtGraphConverterV2",
    "TrtPrecisionMode",
    "convert",
]


def convert(
    saved_model: PathLike, out: PathLike, options: Optional[HybridOptions] = None, **named: Any
) -> HybridReport:
    """Writes ``saved_model`` to the folder ``out`` with TensorRT engines in place of what TensorRT takes.

    The result is a SavedModel with the same signature. Engines are built for the input shapes that ``input_fn`` gives;
    where it is None, for those of the signature if they are static, and otherwise at run time.

    Args:
        saved_model: a SavedModel's folder.
        out: the folder to write; an older SavedModel there is replaced.
        options: what to do; or its fields by name, such as ``precision_mode="FP16", input_fn=batches``, which win.

    Raises:
        UsageError, UnsupportedVersionError, LibraryNotFoundError, DeviceError, MissingExtraError: it cannot work here
            or with these options; found before any work.
        InputError: a batch that the model does not take.
        BuildError: an engine could not be built, in backend tf-trt or with ``strict``.
        ModelError: the model cannot be converted, or less than ``strict`` of it is in engines.
        OutputError: ``out`` cannot be written. Whatever is raised, nothing is left at ``out``.
    """
    options = _with(options or HybridOptions(), named)
    if resolve_backend(options) == "tf-trt":
        return convert_tf_trt(saved_model, out, options)
    return convert_tf2trt(saved_model, out, options)


class TrtPrecisionMode:
    """TF-TRT's names of the precisions."""

    FP32 = "FP32"
    FP16 = "FP16"
    INT8 = "INT8"

    @staticmethod
    def supported_precision_modes() -> Sequence[str]:
        """The names, in capital and in small letters."""
        modes = [TrtPrecisionMode.FP32, TrtPrecisionMode.FP16, TrtPrecisionMode.INT8]
        return modes + [mode.lower() for mode in modes]


class TrtConversionParams(NamedTuple):
    """TF-TRT's parameters in one value; see :class:`~tf2trt.hybrid.HybridOptions`."""

    max_workspace_size_bytes: int = DEFAULT_WORKSPACE
    precision_mode: str = TrtPrecisionMode.FP32
    minimum_segment_size: int = 3
    maximum_cached_engines: int = 1
    use_calibration: bool = True
    allow_build_at_runtime: bool = True


DEFAULT_TRT_CONVERSION_PARAMS = TrtConversionParams()


class TrtGraphConverterV2:
    """TF-TRT's converter: the same arguments and steps, so that a script changes its import only::

        from tf2trt.hybrid import TrtGraphConverterV2

        converter = TrtGraphConverterV2(input_saved_model_dir="model", precision_mode="FP16")
        converter.convert()
        converter.build(input_fn)
        converter.save("converted")
        converter.summary()

    In backend tf2trt nothing is built before :meth:`build` or, where that is not called, :meth:`save`, as engines need
    to know their input shapes first.

    Args:
        input_saved_model_dir: the SavedModel's folder.
        input_saved_model_tags, input_saved_model_signature_key: what of it is converted; None is ``serve`` and
            ``serving_default``.
        use_dynamic_shape, dynamic_shape_profile_strategy, max_workspace_size_bytes, precision_mode,
            minimum_segment_size, maximum_cached_engines, use_calibration, allow_build_at_runtime: see
            :class:`~tf2trt.hybrid.HybridOptions`. The workspace is 1 GiB where it is not given; TF-TRT has no limit
            from TensorRT 8.4 on.
        conversion_params: TF-TRT's older form; it wins over the arguments of the same names.
        backend, strict: tf2trt's own; see there too.

    Raises:
        UsageError, UnsupportedVersionError, LibraryNotFoundError, DeviceError, MissingExtraError, ExportError: it
            cannot work here or with these arguments.
    """

    def __init__(
        self,
        input_saved_model_dir: Optional[PathLike] = None,
        input_saved_model_tags: Optional[Sequence[str]] = None,
        input_saved_model_signature_key: Optional[str] = None,
        use_dynamic_shape: Optional[bool] = None,
        dynamic_shape_profile_strategy: Optional[str] = None,
        max_workspace_size_bytes: int = DEFAULT_WORKSPACE,
        precision_mode: str = TrtPrecisionMode.FP32,
        minimum_segment_size: int = 3,
        maximum_cached_engines: int = 1,
        use_calibration: bool = True,
        allow_build_at_runtime: bool = True,
        conversion_params: Optional[Any] = None,
        *,
        backend: str = "auto",
        strict: Optional[float] = None,
    ) -> None:
        if input_saved_model_dir is None:
            raise UsageError("input_saved_model_dir", received="None", expected="the folder of a SavedModel")
        params = conversion_params or TrtConversionParams(
            max_workspace_size_bytes=max_workspace_size_bytes,
            precision_mode=precision_mode,
            minimum_segment_size=minimum_segment_size,
            maximum_cached_engines=maximum_cached_engines,
            use_calibration=use_calibration,
            allow_build_at_runtime=allow_build_at_runtime,
        )
        options = HybridOptions(
            **{name: getattr(params, name) for name in TrtConversionParams._fields},
            use_dynamic_shape=bool(use_dynamic_shape),
            dynamic_shape_profile_strategy=dynamic_shape_profile_strategy or "Range",
            backend=backend,
            strict=strict,
            signature=input_saved_model_signature_key,
            tags=None if input_saved_model_tags is None else tuple(input_saved_model_tags),
        )
        made = TfTrtSteps if resolve_backend(options) == "tf-trt" else Tf2TrtSteps
        self._steps = made(input_saved_model_dir, options)
        self._calibrated = options.calibrated
        self._converted = self._built = False

    def convert(self, calibration_input_fn: Optional[InputFunction] = None) -> Callable[..., Any]:
        """The first step; INT8 calibrates with the batches of ``calibration_input_fn``. Returns the converted function.

        Raises:
            UsageError: called twice; calibration data where none is needed, or none where it is.
            InputError, BuildError, ModelError: as :func:`convert` does.
        """
        if self._converted:
            raise UsageError("convert was called already", hint="make a new TrtGraphConverterV2")
        if self._calibrated and calibration_input_fn is None:
            raise UsageError(
                "INT8 without calibration data",
                received="calibration_input_fn=None",
                expected="a function that gives batches of real data",
                hint="convert(calibration_input_fn=...), or use_calibration=False where the model holds "
                "fake-quantization nodes",
            )
        if not self._calibrated and calibration_input_fn is not None:
            raise UsageError(
                "calibration_input_fn", received="a function", expected="None: only INT8 with use_calibration has one"
            )
        function = self._steps.convert(calibration_input_fn)
        self._converted = True
        return function

    def build(self, input_fn: InputFunction) -> None:
        """Builds engines for the shapes of ``input_fn``'s batches.

        Raises:
            UsageError: called before :meth:`convert`, or twice.
            InputError, BuildError, ModelError: as :func:`convert` does.
        """
        self._check_converted("build")
        if self._built:
            raise UsageError("build was called already", hint="give all shapes in one input_fn")
        self._steps.build(input_fn)
        self._built = True

    def save(
        self, output_saved_model_dir: PathLike, save_gpu_specific_engines: bool = True, options: Any = None
    ) -> HybridReport:
        """Writes the converted SavedModel, and returns the report.

        Args:
            save_gpu_specific_engines: False leaves the engines out (backend tf-trt only).
            options: a ``tf.saved_model.SaveOptions`` (backend tf-trt only).

        Raises:
            UsageError: called before :meth:`convert`; an argument that the backend does not take.
            BuildError, ModelError, OutputError: as :func:`convert` does.
        """
        self._check_converted("save")
        return self._steps.save(output_saved_model_dir, save_gpu_specific_engines, options)

    def summary(
        self, line_length: int = 160, detailed: bool = True, print_fn: Optional[Callable[[str], Any]] = None
    ) -> None:
        """Prints what became of the model: the segments, their engines and their nodes, and what stays native.

        Args:
            line_length: in characters, 160 or more.
            detailed: also the number of nodes of each operator.
            print_fn: called with each line instead of :func:`print`.

        Raises:
            UsageError: called before :meth:`convert`, or lines too short.
        """
        self._check_converted("summary")
        for line in summary_lines(self.report, line_length, detailed):
            (print_fn or print)(line)

    @property
    def report(self) -> HybridReport:
        """What became of every node, as far as the steps went. In backend tf2trt it needs the conversion, and has it
        done.

        Raises:
            UsageError: before :meth:`convert`.
        """
        self._check_converted("report")
        return self._steps.report

    def _check_converted(self, step: str) -> None:
        if not self._converted:
            raise UsageError(f"{step} before convert", hint="call convert() first")


def _with(options: HybridOptions, named: Any) -> HybridOptions:
    unknown = set(named) - set(HybridOptions.__dataclass_fields__)
    if unknown:
        raise UsageError(
            "convert: no such option",
            received=", ".join(sorted(unknown)),
            expected=", ".join(HybridOptions.__dataclass_fields__),
        )
    return replace(options, **named)
