"""The surroundings in which Graphviz finds DejaVu Sans before all other fonts.

The fonts are those that matplotlib brings along, so that graphs and charts have the same letters.
"""

import importlib.util
import os
import shutil
import tempfile
from html import escape  # that of xml.sax loads ssl
from pathlib import Path

_FACES = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSans-Oblique.ttf")
_WINDOWS = "WINDOWSFONTDIR"  # as fontconfig calls it
_SYSTEM_FONTS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.local/share/fonts",
    "~/.fonts",
    "/System/Library/Fonts",
    "/Library/Fonts",
    "~/Library/Fonts",
    _WINDOWS,
)


def font_files() -> list[Path]:
    """DejaVu Sans as matplotlib has it, which is found without being imported; none without it.

    >>> [file.name for file in font_files()]
    ['DejaVuSans.ttf', 'DejaVuSans-Bold.ttf', 'DejaVuSans-Oblique.ttf']
    """
    try:
        spec = importlib.util.find_spec("matplotlib")
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.origin:
        return []
    folder = Path(spec.origin).with_name("mpl-data") / "fonts" / "ttf"
    return [folder / face for face in _FACES if (folder / face).is_file()]


def font_folders() -> list[Path]:
    """The folders of the system's fonts."""
    windows = Path(os.environ.get("WINDIR", "C:/Windows"), "Fonts")
    return [windows if d == _WINDOWS else Path(d).expanduser() for d in _SYSTEM_FONTS]


def font_environment(folder: Path) -> dict[str, str]:
    """The environment in which Graphviz finds DejaVu Sans before all other fonts."""
    config = folder / "fonts.conf"
    config.write_text(_fonts_conf(folder), encoding="utf-8")
    environment = dict(os.environ)
    environment.pop("FONTCONFIG_SYSROOT", None)
    environment["FONTCONFIG_FILE"] = str(config)
    environment["FONTCONFIG_PATH"] = str(folder)
    return environment


def _font_folder(folder: Path) -> Path:
    """A copy of the fonts, kept in the user's cache where that can be written.

    Fontconfig writes a file of its own beside fonts. Within an installed package nobody would
    remove it, and a package's folder that outlives it hides the next installation.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    fonts = font_files()
    version = "-".join(str(f.stat().st_size) for f in fonts)
    copy = home / "minigrad" / f"fonts-{version}"
    if not copy.is_dir():
        try:
            copy.parent.mkdir(parents=True, exist_ok=True)
            part = Path(tempfile.mkdtemp(dir=copy.parent))
            _copy_all(fonts, part)
            part.rename(copy)
        except OSError:  # a read-only home, or another process was first
            if not copy.is_dir():
                copy = folder / "fonts"
                copy.mkdir()
                _copy_all(fonts, copy)
    return copy


def _copy_all(files: list[Path], folder: Path) -> None:
    for file in files:
        shutil.copy(file, folder)


def _fonts_conf(folder: Path) -> str:
    """A fontconfig file: DejaVu Sans first, the system's for characters that it lacks; emoji, which
    are bitmaps of one size, as large as the text."""
    folders = [str(_font_folder(folder)), *(os.path.expanduser(d) for d in _SYSTEM_FONTS)]
    listed = "\n".join(f"  <dir>{escape(d)}</dir>" for d in folders)
    return f"""<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
{listed}
  <cachedir prefix="xdg">minigrad/fontconfig</cachedir>
  <cachedir>{escape(str(folder / "cache"))}</cachedir>
  <match target="pattern">
    <edit name="family" mode="append_last"><string>DejaVu Sans</string></edit>
  </match>
  <match target="font">
    <test name="outline"><bool>false</bool></test>
    <edit name="matrix">
      <times>
        <name>matrix</name>
        <matrix>
          <divide><name target="pattern">pixelsize</name><name>pixelsize</name></divide>
          <double>0</double>
          <double>0</double>
          <divide><name target="pattern">pixelsize</name><name>pixelsize</name></divide>
        </matrix>
      </times>
    </edit>
  </match>
</fontconfig>
"""
