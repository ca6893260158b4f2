"""Pictures as SVG text: where boxes stand, and the few shapes that the pictures share."""
