"""NVIDIA's management library, as its Python binding shows it, without a GPU."""

from types import SimpleNamespace


class FakeNvml(SimpleNamespace):
    """NVML of one GPU, as ``pynvml`` shows it; ``bits`` are its throttle reasons."""

    class NVMLError(Exception):
        def __init__(self, value):
            super().__init__(f"error {value}")
            self.value = value

    NVML_ERROR_INVALID_ARGUMENT, NVML_ERROR_NOT_SUPPORTED, NVML_ERROR_NO_PERMISSION = 2, 3, 4
    NVML_ERROR_FUNCTION_NOT_FOUND, NVML_ERROR_UNKNOWN = 13, 999
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    def __init__(self):
        super().__init__(bits=0, lost=False, opened=0, asked=[])

    def nvmlInit(self):  # noqa: N802
        self.opened += 1

    def nvmlShutdown(self):  # noqa: N802
        self.opened -= 1

    def __getattr__(self, name):
        answers = {
            "nvmlDeviceGetHandleByIndex": lambda index: ("index", index),
            "nvmlDeviceGetHandleByUUID": lambda text: ("uuid", text),
            "nvmlDeviceGetHandleByPciBusId": lambda text: ("pci", text),
            "nvmlDeviceGetClockInfo": lambda device, kind: {1: 1980, 2: 2619}[kind],
            "nvmlDeviceGetMaxClockInfo": lambda device, kind: {1: 1980, 2: 3201}[kind],
            "nvmlDeviceGetPowerUsage": lambda device: 123_400,
            "nvmlDeviceGetPowerManagementLimit": lambda device: 700_000,
            "nvmlDeviceGetMemoryInfo": lambda device: SimpleNamespace(used=2**30, total=2**37),
            "nvmlDeviceGetCurrentClocksThrottleReasons": lambda device: self.bits,
            "nvmlDeviceGetCudaComputeCapability": lambda device: (9, 0),
            "nvmlDeviceGetName": lambda device: b"NVIDIA H200",
            "nvmlSystemGetDriverVersion": lambda: "580.65.06",
            "nvmlSystemGetCudaDriverVersion": lambda: 13000,
        }

        def call(*arguments):
            self.asked.append((name, arguments))
            if self.lost:
                raise self.NVMLError(15)
            if name not in answers:  # such as the temperature and the persistence mode
                raise self.NVMLError(self.NVML_ERROR_NOT_SUPPORTED)
            return answers[name](*arguments)

        if name.startswith("nvml"):
            return call
        raise AttributeError(name)
