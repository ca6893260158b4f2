"""Rewrites that users write themselves: a pattern, and a function that says what takes its place."""

from __future__ import annotations

import inspect
import os
import sys
import traceback
import types
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, TypeVar, Union

from tf2trt.errors import SurgeryError, Tf2TrtError, UsageError
from tf2trt.extras import require
from tf2trt.surgery.gs_graph import export_graph, import_graph
from tf2trt.surgery.match import Match, put_in_place, why_not
from tf2trt.surgery.pattern import Found, Pattern, find
from tf2trt.surgery.shapes import infer_shapes
from tf2trt.surgery.trial import CannotRunError, Results

__all__ = ["Match", "load_rewrites", "rewrite"]

PathLike = Union[str, "os.PathLike[str]"]
Pass = Callable[[Any, List[str]], Any]
Function = TypeVar("Function", bound=Callable[..., Any])
_REGISTRY = "__tf2trt_rewrites__"  # in the module of the functions: a file's rewrites are those written in it
_SHOWN = 5  # places left alone that a note names


def rewrite(pattern: Pattern) -> Callable[[Function], Function]:
    """Marks a function of a file of rewrites: it is called with a :class:`Match` wherever ``pattern`` is found.

    It returns the tensor that takes the place of the pattern's first output (``match.make(...)``, or one of the graph),
    or None to leave that place alone.

    Raises:
        UsageError: what stands in the place of the pattern or the function is none.
    """
    if not isinstance(pattern, Pattern):
        raise UsageError("rewrite", received=repr(pattern), expected='a pattern: @rewrite(Pattern("Relu", "x"))')

    def register(function: Function) -> Function:
        if not inspect.isfunction(function):
            raise UsageError("rewrite", received=repr(function), expected="a function, which takes a match")
        function.__globals__.setdefault(_REGISTRY, []).append((pattern, function))
        return function

    return register


@dataclass(frozen=True)
class _Rewrite:
    label: str  # "my.py:swish"
    pattern: Pattern
    function: Callable[[Match], Any]

    def __call__(self, model: Any, notes: List[str]) -> Any:
        """The pass, see :data:`tf2trt.surgery.passes.Pass`."""
        gs = require("onnx_graphsurgeon", "export")
        graph = import_graph(infer_shapes(model))
        places = [graph, *graph.subgraphs(recursive=True)]
        taken = {name for place in places for name in (*place.tensors(), *(node.name for node in place.nodes))}
        matches, done = 0, 0
        left: List[str] = []
        for place in places:
            members = {id(node): node for node in place.nodes}
            for node in list(place.nodes):
                found = self._find(place, node, graph.opset, members, left) if node.outputs else None
                if found is not None:
                    match = Match(place, found, taken)
                    matches += 1
                    done += self._apply(gs, match, found)
                    members.update((id(made), made) for made in match.made)
        notes.append(f"{matches or 'no'} match{'' if matches == 1 else 'es'}")
        if matches > done:
            notes.append(f"{matches - done} left alone by the function")
        notes.extend(f"left alone: {why}" for why in left[:_SHOWN])
        if len(left) > _SHOWN:
            notes.append(f"{len(left) - _SHOWN} more left alone for such reasons")
        if not done:
            return model
        graph.cleanup().toposort()
        rewritten = export_graph(graph)
        notes.append(self._compared(model, rewritten))
        return rewritten

    def _compared(self, before: Any, after: Any) -> str:
        try:
            return f"relative error {Results(before).difference(after):.1e}"
        except CannotRunError as error:
            if error.invalid:
                raise SurgeryError(f"what {self.label!r} makes is not a valid model", received=str(error)) from error
            return f"not compared with what was there: {error}"

    def _find(self, place: Any, node: Any, opset: int, members: Dict[int, Any], left: List[str]) -> Optional[Found]:
        """The first way in which the pattern fits and may be replaced."""
        if node.op != self.pattern.op:
            return None
        why = ""
        for found in find(self.pattern, node, opset, members):
            reason = why_not(place, found)
            if not reason:
                return found
            why = why or reason
        if why:
            left.append(f"{_label(node)}: {why}")
        return None

    def _apply(self, gs: Any, match: Match, found: Found) -> int:
        """1 where the function gave something for the place, else 0."""
        root = match.node
        try:
            result = self.function(match)
        except Tf2TrtError:
            raise
        except Exception as error:
            line = traceback.extract_tb(error.__traceback__)[-1]
            raise self._failed(
                root, f"{type(error).__name__}: {error} ({Path(line.filename).name}, line {line.lineno})"
            ) from error
        if result is None:
            match.drop()
            return 0
        if isinstance(result, gs.Node) and result.outputs:
            result = result.outputs[0]
        if not isinstance(result, gs.Tensor):
            raise self._failed(root, f"it returned {type(result).__name__}, not a tensor or None")
        if result is root.outputs[0] or any(tensor is root.outputs[0] for node in match.made for tensor in node.inputs):
            raise self._failed(root, f"the replacement needs {root.outputs[0].name!r}, which it replaces")
        put_in_place(gs, match, found, result)
        return 1

    def _failed(self, node: Any, why: str) -> SurgeryError:
        return SurgeryError(f"the rewrite {self.label!r} failed at {_label(node)}", received=why)


def load_rewrites(path: PathLike) -> List[Tuple[str, Pass]]:
    """The rewrites of a file of the user's, in the order in which they stand there, named like ``"my.py:swish"``.

    The file is imported under a private name. What each pass does is reported in its notes: the number of matches,
    what was left alone and why, and by how much the model's outputs changed.

    Raises:
        UsageError: there is no such file, it cannot be imported, or no function in it is marked by :func:`rewrite`.
    """
    source = Path(path)
    if not source.is_file():
        raise UsageError(f"rewrites: there is no file at {source}", hint="name a Python file with @rewrite in it")
    entries: Sequence[Tuple[Pattern, Callable[[Match], Any]]] = vars(_imported(source)).get(_REGISTRY, ())
    if not entries:
        raise UsageError(f"rewrites: {source} has none", expected="functions marked by @rewrite(Pattern(...))")
    names = [function.__name__ for _, function in entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"rewrites: {source} has two of one name", received=", ".join(twice))
    return [
        (f"{source.name}:{function.__name__}", _Rewrite(f"{source.name}:{function.__name__}", pattern, function))
        for pattern, function in entries
    ]


def _imported(source: Path) -> Any:
    name = f"_tf2trt_rewrites_{zlib.crc32(bytes(source.resolve())):08x}"
    module = types.ModuleType(name)
    module.__file__ = str(source)
    sys.modules[name] = module  # dataclasses and pickle look there
    try:
        # Compiled here, so that no __pycache__ is left beside the file.
        exec(compile(source.read_bytes(), str(source), "exec"), vars(module))
    except Exception as error:
        del sys.modules[name]
        if isinstance(error, SyntaxError):
            line, what = error.lineno, f"{error.msg}: {(error.text or '').strip()}"
        else:
            own = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(source)]
            line, what = (own or [None])[-1], f"{type(error).__name__}: {error}"
        where = f"{source}, line {line}" if line else str(source)
        raise UsageError(f"rewrites: {where} cannot be imported", received=what) from error
    return module


def _label(node: Any) -> str:
    return f"{node.op} {node.name or node.outputs[0].name!r}"
