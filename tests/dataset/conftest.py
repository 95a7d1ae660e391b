from pathlib import Path

import pytest

from heartmula_studio.arch.checkpoints import BaseFolder
from heartmula_studio.dataset.prompt import PromptLayout


@pytest.fixture(scope="session")
def golden_base() -> BaseFolder:
    folder = Path(__file__).parent.parent / "golden"
    return BaseFolder(
        name="golden",
        model=folder / "heartmula",
        codec=folder / "heartcodec",
        encoder=None,
        tokenizer=folder / "tokenizer.json",
        gen_config=folder / "gen_config.json",
    )


@pytest.fixture(scope="session")
def layout(golden_base) -> PromptLayout:
    return PromptLayout.load(golden_base)
