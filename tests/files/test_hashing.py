"""Names for contents."""

import hashlib

from heartmula_studio.files.hashing import file_sha256


def test_file_sha256_is_that_of_the_whole_content(tmp_path):
    content = bytes(range(256)) * 10_000
    (tmp_path / "song.wav").write_bytes(content)
    assert file_sha256(tmp_path / "song.wav") == hashlib.sha256(content).hexdigest()
