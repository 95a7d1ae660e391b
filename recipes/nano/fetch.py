"""Download the Debian packages the training music comes from, and unpack them without installing.

`python -m recipes.nano.fetch --work DIR` fills DIR with the .deb files and DIR/x/<package>/ with their content.
"""

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

from heartmula_studio.errors import NotFoundError

PACKAGES = (
    "a7xpg-data",
    "fluid-soundfont-gm",
    "freedoom",
    "fretsonfire-songs-sectoid",
    "gamine-data",
    "gigalomania-data",
    "gunroar-data",
    "miceamaze",
    "mu-cade-data",
    "musescore-general-soundfont",
    "naev-data",
    "noiz2sa-data",
    "parsec47-data",
    "pax-britannica-data",
    "rrootage-data",
    "titanion-data",
    "torus-trooper-data",
    "tumiki-fighters-data",
    "ufoai-music",
    "val-and-rick-data",
)
COMMANDS = ("apt-get", "dpkg-deb")


def find_deb(package: str, work: Path) -> Path | None:
    """The downloaded file of `package` in `work`, or None."""
    return next(iter(sorted(work.glob(f"{package}_*.deb"))), None)


def download(package: str, work: Path) -> Path:
    """Download one package into `work`. Nothing is left behind when the download stops half-way."""
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work, prefix=".download-") as folder:
        subprocess.run(["apt-get", "download", package], cwd=folder, check=True)
        deb = find_deb(package, Path(folder))
        assert deb is not None, f"apt-get download {package} left no .deb file"
        return deb.replace(work / deb.name)


def unpack(deb: Path, folder: Path) -> None:
    """Unpack a .deb into `folder`, which appears only once it is complete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unpack-") as temporary:
        content = Path(temporary) / "content"
        subprocess.run(["dpkg-deb", "-x", deb, content], check=True)
        content.replace(folder)


def fetch(package: str, work: Path) -> Path:
    """The folder with the package's content, downloaded and unpacked where it is not there yet."""
    folder = work / "x" / package
    if not folder.is_dir():
        unpack(find_deb(package, work) or download(package, work), folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for the packages and the prepared audio")
    work = parser.parse_args().work
    missing = [command for command in COMMANDS if shutil.which(command) is None]
    if missing:
        raise NotFoundError(f"{', '.join(missing)} not found.", "Run this on Debian or Ubuntu, as in the README.")
    for package in PACKAGES:
        print(fetch(package, work), flush=True)


if __name__ == "__main__":
    main()
