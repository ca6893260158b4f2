"""Has TensorFlow load the op ``Tf2TrtEngine`` when it opens a SavedModel that holds it."""

from __future__ import annotations

from functools import wraps
from types import ModuleType
from typing import Any

__all__ = ["load_op_where_needed"]

_READER = "tensorflow.python.saved_model.loader_impl"  # reads saved_model.pb, whoever opens it
_OPS = ("Tf2TrtEngine", "Tf2TrtStats")


def load_op_where_needed() -> None:
    """From now on a SavedModel that holds the op can be opened: TensorFlow, whether it is imported already or later,
    has it loaded first (see :func:`tf2trt.hybrid.op.load_op`, whose errors ``tf.saved_model.load`` then raises).

    Nothing else happens here: TensorFlow is not imported, and nothing is compiled for other models.
    """
    try:
        from wrapt import register_post_import_hook
    except ImportError:  # TensorFlow needs it itself, so there is no TensorFlow
        return
    register_post_import_hook(_attach, _READER)


def _attach(reader: ModuleType) -> None:
    parse = reader.parse_saved_model

    @wraps(parse)
    def parse_saved_model(*arguments: Any, **named: Any) -> Any:
        saved_model = parse(*arguments, **named)
        graphs = saved_model.meta_graphs
        if any(op.name in _OPS for graph in graphs for op in graph.meta_info_def.stripped_op_list.op):
            from tf2trt.hybrid.op import load_op

            load_op()
        return saved_model

    reader.parse_saved_model = parse_saved_model  # type: ignore[attr-defined]
