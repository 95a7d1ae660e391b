"""What holds for the listeners of the whole page."""

from collections import Counter

from heartmula_studio.ui.page import create_ui
from heartmula_studio.ui.players import Players
from tests.still_studio import settings_for, still_studio


def test_no_two_listeners_of_an_event_wait_for_their_turn(tmp_path):
    """Gradio would call them in turns without end; only those of a State are called one by one."""
    studio = still_studio(settings_for(tmp_path / "data"))
    page = create_ui(studio, Players(tmp_path)).get_config_file()
    states = {component["id"] for component in page["components"] if component["type"] == "state"}
    waiting = Counter(
        (target, event)
        for listener in page["dependencies"]
        if listener["trigger_mode"] == "always_last"
        for target, event in listener["targets"]
        if target not in states
    )
    assert waiting
    assert max(waiting.values()) == 1
