"""One file of a folder of calibration data: an image, an array, or arrays by input name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tf2trt.errors import UsageError
from tf2trt.extras import require

__all__ = ["FOLDER_SUFFIXES", "read_file"]

_IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
FOLDER_SUFFIXES = (*_IMAGES, ".npy", ".npz")


def read_file(path: Path) -> Any:
    """An image as uint8 HxWx3, RGB, with the pixels as they are stored (EXIF's orientation is left alone, as by
    TensorFlow); a ``.npy`` file as its array; a ``.npz`` file as a dictionary.

    Raises:
        UsageError: the file is damaged.
        MissingExtraError: an image, and Pillow is not installed.
    """
    suffix = path.suffix.lower()
    image = require("PIL.Image", "calibrate") if suffix in _IMAGES else None
    try:
        if image is not None:
            with image.open(path) as opened:
                return np.asarray(opened.convert("RGB"))
        loaded = np.load(path, allow_pickle=False)
        if suffix == ".npy":
            return loaded
        with loaded:
            return dict(loaded)
    except Exception as error:  # Pillow's decoders and zipfile raise many kinds
        raise UsageError(
            f"calibration data: {path} cannot be read",
            received=f"{type(error).__name__}: {error}",
            hint="repair the file or take it away",
        ) from error
