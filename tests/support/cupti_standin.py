"""cupti-python as far as tf2trt uses it, with its names and signatures (12.8 to 13.4 agree in these), without a GPU."""

import enum
import time
import types


class ActivityKind(enum.IntEnum):
    MEMCPY = 1
    MEMSET = 2
    DRIVER = 4
    RUNTIME = 5
    CONCURRENT_KERNEL = 10


class ActivityMemcpyKind(enum.IntEnum):
    HTOD = 1
    DTOH = 2


class CallbackDomain(enum.IntEnum):
    DRIVER_API = 1


class cuptiError(Exception):  # noqa: N801  # NVIDIA's name
    pass


class Cupti(types.ModuleType):
    """A flush hands ``pending`` to the callback; the flush after it ``later``. ``offset`` is its clock's, in ns."""

    def __init__(self, offset=0):
        super().__init__("cupti.cupti")
        self.ActivityKind, self.ActivityMemcpyKind, self.CallbackDomain = (
            ActivityKind,
            ActivityMemcpyKind,
            CallbackDomain,
        )
        self.cuptiError = cuptiError
        self.offset = offset
        self.enabled, self.pending, self.later, self.refused = set(), [], [], {}

    def _ask(self, name):
        if name in self.refused:
            raise self.refused[name]

    def get_timestamp(self):
        self._ask("get_timestamp")
        return time.perf_counter_ns() + self.offset

    def activity_register_callbacks(self, func_buffer_requested, func_buffer_completed):
        size, records = func_buffer_requested()
        assert size > 0
        assert records == 0
        self._completed = func_buffer_completed

    def activity_enable(self, kind):
        self._ask(kind.name)
        assert kind not in self.enabled
        self.enabled.add(kind)

    def activity_disable(self, kind):
        self.enabled.remove(kind)

    def activity_flush_all(self, flag):
        assert flag == 1
        self._completed(self.pending)
        self.pending, self.later = self.later, []

    def get_callback_name(self, domain, cbid):
        assert domain == CallbackDomain.DRIVER_API
        return {514: "cuGraphLaunch"}[cbid]

    def _record(self, kind, start, end, **values):
        return types.SimpleNamespace(kind=int(kind), start=start, end=end, correlation_id=7, **values)

    def kernel(self, name, start, end, stream=13):
        shape = dict.fromkeys(("grid_y", "grid_z", "block_y", "block_z"), 1)
        return self._record(
            ActivityKind.CONCURRENT_KERNEL,
            start,
            end,
            name=name,
            device_id=0,
            stream_id=stream,
            grid_x=132,
            block_x=256,
            **shape,
        )

    def copy(self, direction, start, end, count):
        return self._record(
            ActivityKind.MEMCPY, start, end, copy_kind=int(direction), bytes=count, device_id=0, stream_id=13
        )

    def memset(self, start, end, count):
        return self._record(ActivityKind.MEMSET, start, end, bytes=count, device_id=0, stream_id=13)

    def driver(self, cbid, start, end, kind=ActivityKind.DRIVER):
        return self._record(kind, start, end, cbid=cbid, thread_id=42)
