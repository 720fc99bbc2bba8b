"""qr: read a QR code off a terminal, with the zbar library."""
import ctypes
import re

SCALE = 4  # pixels a module
_Y800 = int.from_bytes(b"Y800", "little")
_UPPER, _LOWER = "\u2580\u2588", "\u2584\u2588"  # half blocks: the upper or lower module is dark


def modules(text):
    """Rows of modules, True where dark, of the half blocks that a terminal would show."""
    rows = []
    for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines():
        if line and set(line) <= set(" \u2580\u2584\u2588"):
            rows += [[c in _UPPER for c in line], [c in _LOWER for c in line]]
    return rows


def read(text):
    """The texts of all codes on the terminal."""
    rows = modules(text)
    width, height = max(map(len, rows)) * SCALE, len(rows) * SCALE
    pixels = b"".join(bytes(0 if dark else 255 for dark in row for _ in range(SCALE)) * SCALE
                      for row in rows)
    zbar = ctypes.CDLL("libzbar.so.0")
    for name in ("zbar_image_scanner_create", "zbar_image_create", "zbar_image_first_symbol",
                 "zbar_symbol_next"):
        getattr(zbar, name).restype = ctypes.c_void_p
    zbar.zbar_symbol_get_data.restype = ctypes.c_char_p
    image, scanner = map(ctypes.c_void_p, (zbar.zbar_image_create(), zbar.zbar_image_scanner_create()))
    zbar.zbar_image_set_format(image, ctypes.c_ulong(_Y800))
    zbar.zbar_image_set_size(image, width, height)
    zbar.zbar_image_set_data(image, pixels, ctypes.c_ulong(len(pixels)), None)
    zbar.zbar_scan_image(scanner, image)
    found, symbol = [], zbar.zbar_image_first_symbol(image)
    while symbol:
        found.append(zbar.zbar_symbol_get_data(ctypes.c_void_p(symbol)).decode())
        symbol = zbar.zbar_symbol_next(ctypes.c_void_p(symbol))
    zbar.zbar_image_scanner_destroy(scanner)
    return found
