"""Glass: translucent panels over a soft cyan-to-purple gradient, dark and light.

Colours are CSS variables of glass.css, which differ between the modes; the theme only says which one goes where.
"""

from pathlib import Path

from gradio.themes import Base

SHEETS = ("glass.css", "components.css", "lists.css", "ladder.css", "tracks.css", "gradio.css")
CSS = tuple(Path(__file__).with_name(name) for name in SHEETS)

SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Noto Sans", "sans-serif")
MONOSPACE = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace")

COLOURS = {
    "body_text_color": "var(--text)",
    "body_text_color_subdued": "var(--muted)",
    "background_fill_primary": "var(--solid)",
    "background_fill_secondary": "var(--solid-raised)",
    "border_color_primary": "var(--line)",
    "border_color_accent": "var(--accent)",
    "border_color_accent_subdued": "var(--line)",
    "color_accent_soft": "var(--tint-blue)",
    "link_text_color": "var(--accent)",
    "link_text_color_active": "var(--accent)",
    "link_text_color_hover": "var(--text)",
    "link_text_color_visited": "var(--accent)",
    "code_background_fill": "var(--raised)",
    "accordion_text_color": "var(--text)",
    "table_text_color": "var(--text)",
    "block_background_fill": "var(--panel)",
    "block_border_color": "var(--line)",
    "block_info_text_color": "var(--muted)",
    "block_label_background_fill": "transparent",
    "block_label_border_color": "transparent",
    "block_label_text_color": "var(--muted)",
    "block_title_text_color": "var(--text)",
    "panel_background_fill": "transparent",
    "panel_border_color": "var(--line)",
    "input_background_fill": "var(--field)",
    "input_background_fill_focus": "var(--field)",
    "input_background_fill_hover": "var(--field)",
    "input_border_color": "var(--edge)",
    "input_border_color_focus": "var(--focus)",
    "input_border_color_hover": "var(--accent)",
    "input_placeholder_color": "var(--muted)",
    "input_shadow_focus": "0 0 0 1px var(--focus)",
    "checkbox_background_color": "var(--field)",
    "checkbox_background_color_focus": "var(--field)",
    "checkbox_background_color_hover": "var(--field)",
    "checkbox_background_color_selected": "var(--control)",
    "checkbox_border_color": "var(--edge)",
    "checkbox_border_color_focus": "var(--focus)",
    "checkbox_border_color_hover": "var(--accent)",
    "checkbox_border_color_selected": "var(--control)",
    "checkbox_label_background_fill": "var(--raised)",
    "checkbox_label_background_fill_hover": "var(--raised-hover)",
    "checkbox_label_background_fill_selected": "var(--raised-hover)",
    "checkbox_label_border_color": "var(--line)",
    "checkbox_label_border_color_hover": "var(--accent)",
    "checkbox_label_border_color_selected": "var(--accent)",
    "checkbox_label_text_color": "var(--text)",
    "checkbox_label_text_color_selected": "var(--text)",
    "error_background_fill": "var(--tint-red)",
    "error_border_color": "var(--ink-red)",
    "error_text_color": "var(--ink-red)",
    "error_icon_color": "var(--ink-red)",
    "loader_color": "var(--accent)",
    "slider_color": "var(--control)",
    "stat_background_fill": "var(--control)",
    "table_border_color": "var(--line)",
    "table_even_background_fill": "var(--solid)",
    "table_odd_background_fill": "var(--solid-raised)",
    "table_row_focus": "var(--tint-blue)",
    "button_primary_background_fill": "var(--gradient)",
    "button_primary_background_fill_hover": "var(--gradient)",
    "button_primary_border_color": "transparent",
    "button_primary_border_color_hover": "transparent",
    "button_primary_text_color": "var(--on-gradient)",
    "button_primary_text_color_hover": "var(--on-gradient)",
    "button_primary_shadow": "none",
    "button_primary_shadow_hover": "var(--glow)",
    "button_primary_shadow_active": "none",
    "button_secondary_background_fill": "var(--raised)",
    "button_secondary_background_fill_hover": "var(--raised-hover)",
    "button_secondary_border_color": "var(--line)",
    "button_secondary_border_color_hover": "var(--accent)",
    "button_secondary_text_color": "var(--text)",
    "button_secondary_text_color_hover": "var(--text)",
    "button_secondary_shadow": "none",
    "button_cancel_background_fill": "var(--tint-red)",
    "button_cancel_background_fill_hover": "var(--tint-red)",
    "button_cancel_border_color": "transparent",
    "button_cancel_border_color_hover": "var(--ink-red)",
    "button_cancel_text_color": "var(--ink-red)",
    "button_cancel_text_color_hover": "var(--ink-red)",
}
SHAPES = {  # and what has no value of its own in the dark
    "color_accent": "var(--control)",
    "block_border_width": "1px",
    "block_label_border_width": "0px",
    "block_label_text_weight": "600",
    "block_title_text_weight": "600",
    "block_padding": "16px",
    "block_radius": "16px",
    "container_radius": "16px",
    "form_gap_width": "0px",
    "panel_border_width": "0px",
    "input_border_width": "1px",
    "input_radius": "10px",
    "checkbox_border_width": "1px",
    "checkbox_label_border_width": "1px",
    "table_radius": "12px",
    "button_border_width": "1px",
    "button_large_radius": "12px",
    "button_medium_radius": "10px",
    "button_small_radius": "10px",
    "button_small_text_weight": "500",
    "button_small_padding": "6px 12px",
    "button_medium_padding": "8px 16px",
    "button_transition": "background-color .15s, border-color .15s, box-shadow .15s",
    "section_header_text_weight": "600",
}


class Glass(Base):
    """The theme of the studio; it brings its own style sheets."""

    custom_css = "\n".join(path.read_text(encoding="utf-8") for path in CSS)

    def __init__(self) -> None:
        super().__init__(
            primary_hue="cyan", secondary_hue="violet", neutral_hue="slate", font=SANS, font_mono=MONOSPACE
        )
        del self.custom_css  # as an attribute of the object, Gradio writes it out as a variable of either mode as well
        self.name = "glass"
        dark = {f"{name}_dark": value for name, value in COLOURS.items()}
        self.set(**COLOURS, **dark, **SHAPES, body_background_fill="#eaf0fa", body_background_fill_dark="#0b1120")
