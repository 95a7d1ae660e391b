"""Write the credits of the training set, and keep its manifest beside the recipe.

`python -m recipes.nano.notice --work DIR` copies DIR/manifest.jsonl here and makes NOTICE from it.
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from recipes.nano.manifest import VERSION_MARK, read_manifest, write_atomically, write_manifest

HERE = Path(__file__).parent
LICENCES: Mapping[str, str] = {
    "Apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "BSD-2-Clause": "https://opensource.org/license/bsd-2-clause",
    "BSD-3-Clause": "https://opensource.org/license/bsd-3-clause",
    "CC-BY-3.0": "https://creativecommons.org/licenses/by/3.0/",
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "MIT": "https://opensource.org/license/mit",
    "public-domain": "no rights reserved",
}
HEADER = """\
The bundled model "nano" was trained on the music listed here. Each piece was decoded, mixed to stereo, resampled to
24 kHz and brought to one loudness; pieces from MIDI were also rendered, some in another key and tempo. The names of
the authors do not imply that they endorse this project.

Source packages are those of Debian 12; the licence is the one each package states for the piece.
"""
BANKS = """
Sound banks the MIDI pieces were rendered with (MIT, https://opensource.org/license/mit)

  FluidR3 GM: Copyright 2000-2002, 2008 Frank Wen [fluid-soundfont-gm]
  MuseScore General: Copyright 2018-2021 S. Christian Collins, 2014-2017 Michael Cowgill, 2016 Michael Schorsch,
    2002 Ethan Winer, 2000-2002, 2008 Frank Wen [musescore-general-soundfont]
"""


def credits(records: Sequence[dict]) -> Iterator[str]:
    """One line for each author's works in a package. Versions of a piece are one work."""

    def author(record: dict) -> tuple[str, str]:
        return record["credit"], record["source_package"]

    for (credit, package), works in groupby(sorted(records, key=author), author):
        works = [work for work in works if VERSION_MARK not in work["id"]]
        yield f"  {credit} [{package}]"
        if works[0]["kind"] == "composed":
            yield f"    {len(works)} pieces"
        else:
            yield from (f"    {work['title']}" for work in works)


def notice(records: Iterable[dict]) -> str:
    """The NOTICE text: licences in alphabetical order, under each its authors and their works."""

    def licence(record: dict) -> str:
        return record["licence"]

    sections = [HEADER]
    for name, group in groupby(sorted(records, key=licence), licence):
        sections.append("\n".join([f"\n{name} ({LICENCES[name]})\n", *credits(list(group))]) + "\n")
    return "".join([*sections, BANKS])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder that recipes.nano.prepare filled")
    records = read_manifest(parser.parse_args().work / "manifest.jsonl")
    write_manifest(records, HERE / "manifest.jsonl")
    write_atomically(notice(records), HERE / "NOTICE")


if __name__ == "__main__":
    main()
