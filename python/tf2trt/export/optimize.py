"""tf2onnx's optimisers, run without a copy of all weights before and after each."""

from __future__ import annotations

from typing import Any, Callable, Dict

from tf2trt.extras import require

__all__ = ["optimized"]


def optimized(convert: Callable[[], Any], made: Dict[str, str]) -> Any:
    """Converts a graph and optimises it.

    Args:
        convert: makes a ``tf2onnx.graph.Graph``; called a second time if an optimiser fails.
        made: gets the names of the nodes that an Einsum was taken apart into, each with that of the Einsum.

    Returns:
        the optimised graph.
    """
    optimizer = require("tf2onnx.optimizer", "export")
    try:
        return optimizer.optimize_graph(convert(), catch_errors=False, optimizers=_optimizers(made))
    except Exception:  # noqa: BLE001 (the optimisers' own, of any kind)
        # What failed left its graph half done. With copies, which take many times the weights' memory, it leaves the
        # graph as it was, and right: the check that follows an export compares the numbers.
        made.clear()
        return optimizer.optimize_graph(convert(), catch_errors=True, optimizers=_optimizers(made))


def _optimizers(made: Dict[str, str]) -> Dict[str, Any]:
    chosen = require("tf2onnx.optimizer", "export")._get_optimizers()
    return {name: _variant(optimiser, made) for name, optimiser in chosen.items()}


def _variant(optimiser: Any, made: Dict[str, str]) -> Any:
    """A class like ``optimiser`` that keeps memory low, and remembers what it made of an Einsum."""

    def optimize(self: Any, graph: Any, iteration: int) -> Any:
        if graph.contained_graphs:
            return optimiser.optimize(self, graph, iteration)
        # The same without update_proto: it puts all weights into the nodes' messages once more, and protobuf keeps
        # the memory of what was there. The model is made from the final graph, which does it once.
        self.opt_iteration = iteration
        graph = self._optimize(graph)
        graph.delete_unused_nodes(graph.outputs)
        return graph

    def take_apart(self: Any, node: Any, graph: Any) -> Any:
        before = {each.name for each in graph.get_nodes()}
        done = optimiser._optimize_einsum(self, node, graph)
        made.update((each.name, node.name) for each in graph.get_nodes() if each.name not in before)
        return done

    methods: Dict[str, Any] = {"optimize": optimize}
    if hasattr(optimiser, "_optimize_einsum"):
        methods["_optimize_einsum"] = take_apart
    return type(optimiser.__name__, (optimiser,), methods)
