"""What zip archives from elsewhere may hold."""

import zipfile

COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def require_common_compression(entry: zipfile.ZipInfo, name: str) -> None:
    """Raise NotImplementedError, as `zipfile` does, for a method of which small files may unpack to any size."""
    if entry.compress_type not in COMPRESSIONS:
        raise NotImplementedError(f"{name} is packed in an unusual way")
