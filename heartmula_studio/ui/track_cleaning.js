// Cleaning the recordings of selected tracks: silence at their ends, and loudness. Each is asked of REST on its own.

/** What was done to a recording, "" where nothing was. */
function cleanedText({ cleaned }) {
  if (!cleaned) return "";
  const { cut_start_sec: before, cut_end_sec: behind, gain_db: gain } = cleaned;
  const parts = [];
  if (before || behind) parts.push(`trimmed ${before.toFixed(1)} + ${behind.toFixed(1)} s`);
  if (Math.abs(gain) >= 0.05) parts.push(`${gain > 0 ? "+" : "−"}${Math.abs(gain).toFixed(1)} dB`);
  return parts.join(", ") || "cleaned";
}

class Cleaning {
  constructor(table) {
    this.table = table;
    this.trim = make("input", { type: "checkbox", checked: true });
    this.loudness = make("input", { type: "number", min: -40, max: -5, step: 0.5, placeholder: "as it is",
      "aria-label": "Loudness in LUFS" });
    this.buttons = [
      press("Clean", () => this.clean()),
      press("Undo cleaning", () => this.each("DELETE", "/cleaning", this.restorable)),
      press("Delete originals…", () => this.askToDiscard()),
    ];
    this.stop = press("Stop", () => (this.isStopped = true), { hidden: true });
    this.count = make("span", { class: "hint", role: "status" });
    this.node = make("div", { class: "track-tools", role: "group", "aria-label": "Clean recordings", hidden: true },
      make("label", {}, this.trim, " Trim silence"), make("label", {}, "Loudness (LUFS) ", this.loudness),
      ...this.buttons, this.stop, this.count);
  }

  /** The selected tracks whose originals are there. */
  get restorable() {
    return this.table.selected.filter((row) => row.track.cleaned?.has_original);
  }

  toggle() {
    this.node.hidden = !this.node.hidden;
    say(this.count, "Originals stay until you delete them. Timed lyrics move along.");
  }

  clean() {
    const loudness = this.loudness.value === "" ? null : Number(this.loudness.value);
    const settings = { trim_silence: this.trim.checked, loudness_lufs: loudness };
    return this.each("PUT", "/cleaning", this.table.selected, settings);
  }

  askToDiscard() {
    const rows = this.restorable;
    if (!rows.length) return say(this.count, "None of them has an original to delete.");
    this.table.askFirst(`Delete ${rows.length} originals for good? The cleaned recordings stay as they are.`, "Delete",
      () => this.each("DELETE", "/original", rows));
  }

  /** One after another, so that one can stop between any two; what failed says so in its row. */
  async each(method, below, rows, settings) {
    this.isStopped = false;
    this.buttons.forEach((button) => (button.disabled = true));
    this.stop.hidden = false;
    let done = 0;
    for (const row of rows) {
      if (this.isStopped) break;
      say(this.count, `${done} of ${rows.length} done`);
      await row.change(method, below, settings);
      done++;
    }
    this.buttons.forEach((button) => (button.disabled = false));
    this.stop.hidden = true;
    say(this.count, `${done} of ${rows.length} done`);
    this.table.tell();
  }
}
