// One track in the table: its cells, and below them the panel with its lyrics. What is typed is saved field by field.

const SAVE_MS = 400; // after the last letter, and at once when a field is left
const RIGHTS = [["unknown", "Not stated"], ["own", "My own"], ["licensed", "Licensed"], ["public_domain", "Public domain"]];
const ENDINGS = [["as_heard", "As heard"], ["ends", "It comes to an end"], ["cut_off", "It is cut off"]];
const TIMINGS = {
  timed: "lyrics by their times",
  spread: "lyrics spread evenly, as they have no times",
  none: "all lyrics",
};

/** A field of a track as text, as a browser's field gives it back. */
function textOf(track, name) {
  return name === "tags" ? track.tags.join(", ") : track[name].replace(/\r\n?/g, "\n");
}

/** What REST takes for a text. */
function valueOf(text, name) {
  return name === "tags" ? text.split(",").map((tag) => tag.trim()).filter(Boolean) : text;
}

function minutes(seconds) {
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function size(bytes) {
  return bytes < 1e6 ? `${Math.round(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function choice(options, attributes) {
  return make("select", attributes, ...options.map(([value, text]) => make("option", { value }, text)));
}

function press(text, onclick, attributes = {}) {
  return make("button", { type: "button", class: "secondary sm", onclick, ...attributes }, text);
}

/** The page does not redraw what others have changed while somebody edits, as `changes.js` says. */
function sayEdited() {
  document.dispatchEvent(new Event("edited"));
}

/** An editable field. `saved` is what the server has, `sent` what was typed when that was saved. */
class Field {
  constructor(row, name, node) {
    Object.assign(this, { row, name, node, saved: textOf(row.track, name), sent: null, trouble: "" });
    node.value = this.saved;
    node.addEventListener("input", () => this.wait());
    node.addEventListener("change", () => this.save());
    node.addEventListener("blur", () => (this.step = null));
  }

  get isTyped() {
    return this.node.value !== this.saved && this.node.value !== this.sent;
  }

  /** Show what the server has, unless something else was typed. */
  take(text) {
    if (!this.isTyped && text !== this.saved) [this.node.value, this.sent] = [text, null];
    this.saved = text;
  }

  revert() {
    clearTimeout(this.timer);
    this.node.value = this.saved;
    this.trouble = "";
    this.row.mark();
  }

  wait() {
    sayEdited();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), SAVE_MS);
    this.row.mark();
  }

  /** One at a time, so that an older text never follows a newer one. */
  async save() {
    clearTimeout(this.timer);
    while (!this.isSaving && this.isTyped) {
      const [text, before] = [this.node.value, this.row.track[this.name]];
      this.isSaving = true;
      this.row.mark();
      try {
        await this.row.put({ [this.name]: valueOf(text, this.name) });
        this.sent = text;
        this.trouble = "";
        this.remember(before);
      } catch (error) {
        this.trouble = error.message;
        break;
      } finally {
        this.isSaving = false;
      }
    }
    this.row.mark();
  }

  /** What is typed until the field is left is one step to undo. */
  remember(before) {
    const { filename, [this.name]: after } = this.row.track;
    const { history } = this.row.table;
    if (this.step && history.last === this.step) this.step.changes[0].after = after;
    else this.step = history.add([{ filename, name: this.name, before, after }]);
  }
}

/** A tag, or how many lines of lyrics, with how sure a program is of it. */
function proposalLabel({ kind, value, confidence, language, line_confidences: lines }) {
  const sung = lines.filter((one) => one !== null).length;
  const what = kind === "lyrics" ? `${counted(sung, "line")} of lyrics${language ? ` (${language})` : ""}` : value;
  return `${what} (confidence ${confidence.toFixed(2)})`;
}

/** Proposed lyrics that nobody has decided on, with the confidence of each line that is sung. */
function proposedLyrics(proposals) {
  return proposals.filter((one) => one.kind === "lyrics" && one.status === "open").flatMap((one) => {
    const sure = (number) => one.line_confidences[number]?.toFixed(2) ?? "    ";
    const lines = one.value.split("\n").map((line, number) => `${sure(number)}  ${line}`);
    const title = `Proposed: ${proposalLabel(one)}, by ${one.source}`;
    return [make("p", { class: "hint" }, title), make("pre", { class: "mono", dir: "auto" }, lines.join("\n"))];
  });
}

/** What programs propose for a track: ticked to accept, rejected, brought back. */
class Proposals {
  constructor(row) {
    this.row = row;
    this.ticks = make("span", { role: "group", "aria-label": "Proposed: tick to accept" });
    this.reject = press("Reject what is not ticked", () => this.decideAll("open", "rejected"));
    this.reopen = press("Bring back what was rejected", () => this.decideAll("rejected", "open"));
    this.node = make("div", { class: "proposals" }, this.ticks, this.reject, this.reopen);
    this.draw();
  }

  draw() {
    const { proposals } = this.row.track;
    this.node.hidden = !proposals.length;
    this.reject.hidden = !proposals.some((one) => one.status === "open");
    this.reopen.hidden = !proposals.some((one) => one.status === "rejected");
    const text = JSON.stringify(proposals);
    if (text === this.drawn) return;
    this.drawn = text;
    const focused = document.activeElement?.dataset.proposal;
    const hadFocus = this.ticks.contains(document.activeElement);
    this.ticks.replaceChildren(...proposals.filter((one) => one.status !== "rejected").map((one) => this.tick(one)));
    if (this.row.main) this.row.setTabbable(this.row.isTabbable);
    if (hadFocus) this.ticks.querySelector(`[data-proposal="${focused}"]`)?.focus();
  }

  tick(proposal) {
    const { number, status } = proposal;
    const box = make("input", { type: "checkbox", "data-proposal": number, checked: status === "accepted" });
    box.addEventListener("change", () => this.decide(number, box.checked ? "accepted" : "open"));
    return make("label", {}, box, make("span", { dir: "auto" }, proposalLabel(proposal)));
  }

  async decideAll(before, after) {
    for (const one of this.row.track.proposals) if (one.status === before) await this.decide(one.number, after);
  }

  decide(number, status) {
    return this.row.attempt(async () => {
      this.row.take(await this.row.asked("PUT", `/proposals/${number}`, { status }));
      this.row.table.tell();
    });
  }
}

/** What is below the cells of an opened track: lyrics, how it stops, what is learnt of it, what the model hears. */
class Details {
  constructor(row) {
    this.row = row;
    const lyrics = make("textarea", { rows: 10, dir: "auto", placeholder: "[verse]\n…", spellcheck: "false" });
    const ending = choice(ENDINGS);
    this.lyrics = row.field("caption", lyrics);
    row.field("ending", ending);
    this.learnt = make("div", { class: "learnt" });
    this.proposed = make("div", { class: "proposed-lyrics" });
    this.heard = make("div");
    this.hear = press("Hear what the model hears", () => this.listen());
    const hint = make("span", { class: "hint" }, "Plain, or timed: [01:23.45] a line");
    const remove = press("🗑️ Remove", () => row.table.askToRemove([row]));
    this.restore = press("Undo cleaning", () => row.change("DELETE", "/cleaning"));
    this.node = make("div", { class: "track-details", role: "gridcell" },
      make("label", { class: "lyrics" }, make("span", { class: "field-label" }, "Lyrics"), hint, lyrics),
      make("div", { class: "track-facts" },
        make("label", {}, make("span", { class: "field-label" }, "How it stops"), ending),
        make("div", { class: "track-actions" }, this.hear, this.restore, remove), this.heard, this.proposed,
        make("h3", {}, "What is learnt"), this.learnt));
  }

  draw() {
    this.restore.hidden = !this.row.track.cleaned?.has_original;
  }

  /** Show what a training would read of the track now, and which lyrics are proposed. */
  async preview() {
    this.proposed.replaceChildren(...proposedLyrics(this.row.track.proposals));
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const parts = await this.row.asked("GET", "/prompt").then(learntParts, (error) => [make("p", {}, error.message)]);
    if (turn === this.turn) this.learnt.replaceChildren(...parts);
  }

  async listen() {
    this.hear.disabled = true;
    this.heard.replaceChildren(make("p", { class: "hint", role: "status" }, "The model listens…"));
    try {
      const answer = await ask("GET", `${this.row.path}/heard`);
      const distance = Number(answer.headers.get("X-Log-Mel-Distance")).toFixed(2);
      const name = `${this.row.track.filename}, as the model hears it`;
      const sound = make("audio", { controls: true, "aria-label": `Play ${name}` });
      URL.revokeObjectURL(this.url);
      sound.src = this.url = URL.createObjectURL(await answer.blob());
      this.heard.replaceChildren(sound, make("p", { class: "hint" }, `Log-mel distance: ${distance} (0 is perfect)`));
    } catch (error) {
      this.heard.replaceChildren(make("p", { class: "track-trouble", role: "alert" }, error.message));
    }
    this.hear.disabled = false;
  }
}

function learntParts({ tags, timing, windows, removed }) {
  const parts = [make("p", { class: "hint", dir: "auto" }, `Tags: ${tags || "none"}`)];
  if (removed.length) {
    parts.push(make("p", { class: "track-notice", dir: "auto" }, `Not used as lyrics: ${removed.join(" / ")}`));
  }
  for (const window of windows) {
    const stretch = `${minutes(window.start_sec)} to ${minutes(window.end_sec)}, ${TIMINGS[timing]}`;
    parts.push(make("p", { class: "hint" }, stretch), make("pre", { dir: "auto" }, window.lyrics || "(no lyrics)"));
  }
  return parts;
}

class Row {
  constructor(table, track, number) {
    Object.assign(this, { table, track, taken: JSON.stringify(track), fields: {}, trouble: "" });
    this.path = `${table.path}/audio/${encodeURIComponent(track.filename)}`;
    this.order = number;
    this.id = `track-${++Row.count}`;
    this.build();
    this.draw();
  }

  build() {
    const labelled = (column) => ({ "aria-labelledby": `track-column-${column} ${this.id}` });
    this.check = make("input", { type: "checkbox", ...labelled("select") });
    this.check.addEventListener("click", (event) => this.table.select(this, this.check.checked, event.shiftKey));
    this.play = make("button", { type: "button", class: "cell-button", onclick: () => this.table.player.press(this) });
    this.name = make("span", { class: "track-name", id: this.id, dir: "auto" });
    this.facts = make("span", { class: "hint" });
    this.lyrics = make("button", { type: "button", class: "cell-button lyrics-cell", dir: "auto" });
    this.lyrics.addEventListener("click", () => (this.open(true), this.details.lyrics.node.focus()));
    this.tags = make("input", { type: "text", dir: "auto", placeholder: "those of the dataset", ...labelled("tags") });
    this.rights = choice(RIGHTS, labelled("rights"));
    this.rights.addEventListener("mousedown", () => (this.rights.dataset.open = ""));
    for (const event of ["change", "blur"]) this.rights.addEventListener(event, () => delete this.rights.dataset.open);
    this.more = make("button", { type: "button", class: "cell-button", "aria-expanded": "false",
      "aria-label": `More of ${this.track.filename}`, onclick: () => this.open(!this.isOpen) }, "▸");
    this.proposals = new Proposals(this);
    this.said = make("p", { class: "track-trouble", role: "alert", hidden: true });
    this.saved = make("span", { class: "hint track-saved" });
    this.field("tags", this.tags);
    this.field("rights", this.rights);
    this.cells = [this.check, this.play, this.lyrics, this.tags, this.rights, this.more];
    this.cells.forEach((cell, column) => (cell.dataset.column = column));
    const cell = (kind, ...children) => make("div", { role: "gridcell", class: `cell-${kind}` }, ...children);
    this.main = make("div", { role: "row", class: "track-cells" },
      cell("select", this.check), cell("play", this.play),
      make("div", { role: "rowheader", class: "cell-name" }, this.name, this.facts, this.saved, this.said),
      cell("lyrics", this.lyrics), cell("tags", this.tags, this.proposals.node), cell("rights", this.rights),
      cell("more", this.more));
    this.node = make("div", { role: "rowgroup", class: "song-row" }, this.main);
    this.node.row = this;
    this.setTabbable(false);
  }

  field(name, node) {
    return (this.fields[name] = new Field(this, name, node));
  }

  get isOpen() {
    return Boolean(this.details && !this.details.place.hidden);
  }

  get isTyped() {
    return Object.values(this.fields).some((field) => field.isTyped);
  }

  /** What a filter looks for words in. */
  get text() {
    const { filename, caption, tags } = this.track;
    return `${filename}\n${tags.join(", ")}\n${caption}`.toLowerCase();
  }

  /** Most answers bring a track as it was. */
  take(track) {
    const text = JSON.stringify(track);
    if (text === this.taken) return;
    Object.assign(this, { track, taken: text });
    for (const [name, field] of Object.entries(this.fields)) field.take(textOf(track, name));
    this.draw();
  }

  draw() {
    const { filename, caption, tags, duration_sec, sample_rate, size_bytes, frames } = this.track;
    const facts = [minutes(duration_sec), `${sample_rate / 1000} kHz`, size(size_bytes), frames !== null && "prepared"];
    say(this.name, filename);
    say(this.facts, [...facts, cleanedText(this.track)].filter(Boolean).join(" · "));
    const line = caption.split("\n").find((one) => one.trim() && !one.startsWith("[")) ?? caption.trim();
    say(this.lyrics, line.slice(0, 80) || "Add lyrics");
    this.lyrics.classList.toggle("is-empty", !line);
    this.node.classList.toggle("without-tags", !tags.length);
    this.proposals.draw();
    this.details?.draw();
    if (this.isOpen && this.previewed !== this.previewKey) this.preview();
    this.mark();
  }

  get previewKey() {
    const { caption, tags, proposals } = this.track;
    return JSON.stringify([caption, tags, proposals]);
  }

  preview() {
    this.previewed = this.previewKey;
    this.details.preview();
  }

  /** Say what is being saved, what could not be, and what the track itself suffers from. */
  mark() {
    const fields = Object.values(this.fields);
    const troubles = [...fields.map((field) => field.trouble), this.trouble, this.track.error ?? ""].filter(Boolean);
    say(this.said, troubles.join(" "));
    this.said.hidden = !troubles.length;
    say(this.saved, fields.some((field) => field.isSaving || field.isTyped) ? "Not saved yet" : "");
    const playing = this.table.player?.row === this && this.table.player.isPlaying;
    say(this.play, playing ? "⏸" : "▶");
    this.play.setAttribute("aria-label", `${playing ? "Pause" : "Play"} ${this.track.filename}`);
    for (const field of fields) field.node.setAttribute("aria-invalid", Boolean(field.trouble));
  }

  /** Tab goes from cell to cell within one row, and on from there. */
  setTabbable(isTabbable) {
    this.isTabbable = isTabbable;
    for (const node of this.main.querySelectorAll("input, button, select")) node.tabIndex = isTabbable ? 0 : -1;
  }

  open(isOpen) {
    if (isOpen && !this.details) {
      this.details = new Details(this);
      this.details.place = make("div", { role: "row" }, this.details.node);
      this.details.draw();
      this.node.append(this.details.place);
    }
    if (this.details) this.details.place.hidden = !isOpen;
    this.more.setAttribute("aria-expanded", isOpen);
    say(this.more, isOpen ? "▾" : "▸");
    if (isOpen) this.preview();
  }

  /** Ask REST something of this track. */
  async asked(method, below = "", body = undefined) {
    return (await ask(method, this.path + below, body)).json();
  }

  put(change) {
    return this.table.saving(async () => this.take(await this.asked("PUT", "", change)));
  }

  /** Where the recording is, as it is now. */
  get sound() {
    return `${this.path}?${this.track.sha256.slice(0, 8)}`;
  }

  /** Have REST change the recording, and say in the row why it did not. */
  change(method, below, body) {
    return this.attempt(() => this.table.saving(async () => this.take(await this.asked(method, below, body))));
  }

  /** Do something, and say in the row why it failed. */
  async attempt(action) {
    this.trouble = "";
    try {
      await action();
    } catch (error) {
      this.trouble = error.message;
    }
    this.mark();
  }
}
Row.count = 0;
